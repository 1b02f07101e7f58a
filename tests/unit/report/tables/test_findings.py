"""What is wrong with the libraries underneath stands in every output, once, with its fix."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from fake_runs import INT8, Project, here
from judged_runs import record, run
from rich.console import Console

from perfsuite import api
from perfsuite.domain.cell import Cell
from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Evidence, Run
from perfsuite.judge import judge
from perfsuite.judge.findings import Found, found_in, together
from perfsuite.report import print_run, render
from perfsuite.report.tables.findings import where
from perfsuite.runner import schedule
from perfsuite.runner.jobs import inspect

SLOW = Finding(
    "onednn-reference-kernel", "oneDNN", "3 layers run\non ref|kernels", "Update torch", "observed"
)
SAVING = Finding(
    "governor", "machine", "the governor saves power", "Set performance", "reported", "caution"
)


def with_findings(**findings: tuple[Finding, ...]) -> Run:
    """Return a run with one cell for each runtime that is named, and what was found in it."""
    return run(
        *(
            msgspec.structs.replace(
                record(Cell("vgg", "fp32", runtime), *[0.1] * 3), evidence=Evidence(findings=found)
            )
            for runtime, found in findings.items()
        )
    )


def printed(found: Run) -> str:
    stream = io.StringIO()
    print_run(Console(file=stream, width=200), found, judge(found))
    return stream.getvalue()


def test_a_thing_is_told_once_with_its_cells_and_faults_come_first() -> None:
    found = found_in(with_findings(pytorch=(SAVING,), openvino=(SAVING, SLOW)))
    assert [one.finding for one in found] == [SLOW, SAVING]
    assert [where(one) for one in found] == [
        "vgg/fp32/openvino/cpu/b1",
        "machine",
    ]
    assert found[1].cells == ("vgg/fp32/pytorch/cpu/b1", "vgg/fp32/openvino/cpu/b1")


def test_many_cells_are_counted_and_the_machine_is_named() -> None:
    (many,) = together([(SLOW, f"c{number}") for number in range(5)])
    assert where(many) == "c0, c1, c2 and 2 more"
    assert where(Found(SAVING, ())) == "machine"
    assert together([(SAVING, ""), (SAVING, "c1")]) == [Found(SAVING, ("c1",))]


def test_the_terminal_says_what_is_wrong_and_how_to_mend_it() -> None:
    text = printed(with_findings(openvino=(SLOW, SAVING)))
    assert (
        "What is wrong underneath\n"
        "✗ fault: vgg/fp32/openvino/cpu/b1: 3 layers run on ref|kernels (observed)\n"
        "  fix: Update torch\n"
        "! caution: machine: the governor saves power (reported)\n"
        "  fix: Set performance\n"
    ) in text


def test_markdown_has_a_table_whose_cells_are_escaped() -> None:
    found = with_findings(openvino=(SLOW,))
    assert (
        "## What is wrong underneath\n\n"
        "|  | severity | cell | what is wrong | how it is known | how to mend it |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| ✗ | fault | vgg/fp32/openvino/cpu/b1 | 3 layers run on ref\\|kernels | observed "
        "| Update torch |\n"
    ) in render(found, judge(found), "md")


def test_a_sound_run_has_no_word_of_it() -> None:
    found = with_findings(openvino=())
    assert "underneath" not in printed(found) + render(found, judge(found), "md")


def test_what_an_engine_tells_reaches_the_json_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o, **_: schedule.work_off(j, o, here))
    monkeypatch.setattr(inspect, "findings", lambda facts: ())  # of this machine
    project = Project(tmp_path, monkeypatch)
    project.script({"*/int8/*": {"evidence": {"findings": [msgspec.to_builtins(SLOW)]}}})
    done = api.run(project.suite, project.out)
    rows = {one["key"]: one for one in json.loads(done.report("json"))["rows"]}
    assert [one["name"] for one in rows.pop(INT8)["findings"]] == ["onednn-reference-kernel"]
    assert [one["findings"] for one in rows.values()] == [[]]
