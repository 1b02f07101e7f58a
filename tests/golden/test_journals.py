"""Runs and suites that earlier versions wrote are still read, judged, shown, reported and gated.

`journals/run-0.1.0` is a run of a suite whose cells are fp32, in INT8 and pruned, on three
engines; `journals/profile-0.1.0` is what `perfsuite profile` kept. Both were made by version 0.1.0
before its journal told of several metrics, of devices and of meters. Of a process's latencies 24
are left, most cells of the captioning model are left out, and the machine has a made-up name.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from perfsuite import config
from perfsuite.cli import main
from perfsuite.judge import judge
from perfsuite.store.runs import load_run

JOURNALS = Path(__file__).parent / "journals"
RUN, PROFILE = JOURNALS / "run-0.1.0", JOURNALS / "profile-0.1.0"
CELL = "vgg-digits/fp32/onnxruntime/cpu/b1"


def raw(folder: Path, key: str, job: str) -> list[dict[str, Any]]:
    """Return lines as they are written, whatever the code makes of them."""
    lines = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()[1:]]
    return [line for line in lines if (line["key"], line["job"]) == (key, job)]


def values(line: dict[str, Any], metric: str) -> list[float]:
    return next(one["samples"] for one in line["measurements"] if one["metric"] == metric)


def perfsuite(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    return done.exit_code, done.output


def test_every_line_has_its_place() -> None:
    run = load_run(RUN)
    assert run.warnings == ()
    status = {record.cell.key: record.status for record in run.records.values()}
    assert status.pop("vgg-digits/int8/pytorch/cpu/b1") == "unsupported"
    assert len(status) == 9 and set(status.values()) == {"ok"}
    record = next(one for one in run.records.values() if one.cell.key == CELL)
    measured = raw(RUN, CELL, "measure")
    assert {number: list(times) for number, times in record.latencies_s.items()} == {
        line["round"]: values(line, "latency_s") for line in measured
    }
    assert record.values["run_peak_bytes"] == tuple(
        values(line, "run_peak_bytes")[0] for line in measured
    )
    (inspected,) = raw(RUN, CELL, "inspect")
    assert record.breakdown is not None and record.evidence is not None
    assert record.breakdown.total_s == inspected["breakdown"]["total_s"]
    assert record.evidence.kernels == inspected["evidence"]["kernels"]


def test_an_accuracy_that_stood_alone_is_one_of_several() -> None:
    (line,) = raw(RUN, CELL, "evaluate")
    record = next(one for one in load_run(RUN).records.values() if one.cell.key == CELL)
    (found,) = record.accuracies
    told = json.loads(msgspec.json.encode(found))
    assert {name: told[name] for name in line["accuracy"]} == line["accuracy"]


def test_widths_and_the_roofline_are_kept() -> None:
    (line,) = raw(RUN, "vgg-digits/narrow/onnxruntime/cpu/b1", "prepare")
    narrow = next(one for one in load_run(RUN).records.values() if one.cell.recipe == "narrow")
    assert [(one.layer, one.before, one.after) for one in narrow.widths] == [
        (one["layer"], one["before"], one["after"]) for one in line["widths"]
    ]
    (record,) = load_run(PROFILE).records.values()
    (line,) = raw(PROFILE, record.cell.key, "inspect")
    assert record.roofline is not None
    told = msgspec.to_builtins(record.roofline)
    assert {name: told[name] for name in line["roofline"]} == line["roofline"]


def test_it_is_judged_by_the_budgets_in_its_header() -> None:
    judgement = judge(load_run(RUN))
    assert judgement.exit_code == 0
    by_budget: dict[str, int] = {}
    for verdict in judgement.verdicts:
        assert verdict.status == "pass"
        by_budget[verdict.budget] = by_budget.get(verdict.budget, 0) + 1
    assert by_budget == {"faster": 1, "as good": 2, "features": 1, "realised": 1, "small": 9}


def test_it_is_shown() -> None:
    code, text = perfsuite("show", RUN)
    assert code == 0
    medians = [statistics.median(values(line, "latency_s")) for line in raw(RUN, CELL, "measure")]
    micros = statistics.geometric_mean(medians) * 1e6
    row = next(line for line in text.splitlines() if "fp32/onnxruntime/cpu/b1 " in line)
    assert f"{micros:.3g} µs" in row
    assert "14 pass; exit code 0" in text
    assert "int8/pytorch/cpu/b1: unsupported, as expected: INT8 graphs run on" in text


@pytest.mark.parametrize("folder", [RUN, PROFILE])
@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_it_is_reported(tmp_path: Path, folder: Path, form: str) -> None:
    code, _ = perfsuite("report", folder, "--format", form, "-o", tmp_path / "out")
    assert code == 0
    text = (tmp_path / "out").read_text()
    for record in load_run(folder).records.values():
        cell = record.cell
        assert f"{cell.recipe}/{cell.runtime}/" in text or cell.key in text
    if form == "json":
        json.loads(text)


def test_it_is_compared_with_itself() -> None:
    code, text = perfsuite("gate", RUN, "--baseline", RUN)
    assert code == 0, text
    code, text = perfsuite("show", RUN, RUN)
    assert code == 0, text


def test_the_suite_of_then_is_still_read(tmp_path: Path) -> None:
    """All but a workload that timed a net again: its metric is one of `show-attend-tell` now."""
    text = (RUN / "suite.toml").read_text()
    (tmp_path / "old.toml").write_text(text.replace(', "show-attend-tell-attention"', ""))
    suite = config.read_suite(tmp_path / "old.toml")
    config.check(suite)
    assert [recipe.name for recipe in suite.recipes] == ["fp32", "int8", "narrow"]
