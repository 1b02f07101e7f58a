"""Runs whose cells must have run on what the suite requires: some did, and some did not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, INT8, Project, here

from perfsuite import api
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.report import render
from perfsuite.runner import schedule
from perfsuite.runner.jobs import requirements
from perfsuite.store.runs import load_run

ONEDNN = """
[[require]]
library = "onednn"
instruction_set = "avx2"
reason = "three times as fast"
"""
FAST = LayerKernel("body", "Conv", "jit:avx2", "oneDNN", "AVX2")
SLOW = LayerKernel("body", "Conv", "gemm", "MKL")
OFF = Finding("onednn-off", "oneDNN", "oneDNN is off", "turn it on", "reported")
LOADED = EvidenceItem("observed", "library", "oneDNN", "libdnnl.so")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    monkeypatch.setattr(requirements, "read_processor", lambda: HASWELL)
    made = Project(tmp_path, monkeypatch)
    made.write(ONEDNN)
    return made


class HASWELL:
    """A processor with AVX2 and no more."""

    features = ("avx", "avx2")


def script(project: Project, **evidence: Evidence) -> None:
    """Say what is seen in fp32 and in int8."""
    project.script(
        {f"*/{recipe}/*": {"evidence": msgspec.to_builtins(it)} for recipe, it in evidence.items()}
    )


def test_a_cell_that_fell_back_fails_and_says_how_to_mend_it(project: Project) -> None:
    script(project, fp32=Evidence(layers=(FAST,)), int8=Evidence((LOADED,), layers=(SLOW,)))
    _, run, judgement = api.run(project.suite, project.out)
    records = {one.cell.key: one for one in run.records.values()}
    assert {key: one.status for key, one in records.items()} == {FP32: "ok", INT8: "failed"}
    error = records[INT8].error
    assert error is not None
    assert (error.kind, error.message) == (
        "SilentFallback",
        "fake on cpu: oneDNN with AVX2 is required (three times as fast), and nothing shows that "
        "oneDNN was used: MKL computed 1 of 1 layers (observed); `perfsuite doctor net --runtime "
        "fake --recipe int8` tells which kernel computes each layer, what is wrong, and how to "
        "mend it",
    )
    assert judgement.exit_code == 1
    assert load_run(project.out).records[records[INT8].cell.id].evidence is not None
    shown = render(run, judgement, "md")
    assert "oneDNN computed 1 of 1 layers with AVX2 at best (observed)" in shown
    assert "nothing shows that oneDNN was used: MKL computed 1 of 1 layers (observed)" in shown


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("onednn", "(observed); turn it on"),
        ("tensorrt", "; TensorRT is not in this process: let `runtime` in that [[require]] name"),
    ],
)
def test_the_fix_is_that_of_a_finding_if_there_is_one(
    project: Project, library: str, told: str
) -> None:
    project.write(f'[[require]]\nlibrary = "{library}"')
    script(project, fp32=Evidence((LOADED,), layers=(SLOW,), findings=(OFF,)))
    _, run, _ = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    assert record.error is not None and told in record.error.message


def test_what_the_processor_lacks_is_told(project: Project) -> None:
    project.write('[[require]]\ninstruction_set = "avx512_vnni"\n[[require]]\nlibrary = "mkl"')
    script(project, fp32=Evidence(layers=(FAST,)))
    _, run, judgement = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    assert record.error is not None
    first, second = record.error.message.split(". Also: ")
    assert first == (
        "fake on cpu: AVX-512 VNNI is required, and kernels ran with AVX2 at best (observed); this "
        "processor lacks it (its best: AVX2): run the suite on one that has it"
    )
    assert second.startswith("MKL is required, and nothing shows that MKL was used: oneDNN comp")
    assert judgement.exit_code == 1


def test_a_resumed_run_and_a_stored_one_are_judged_alike(project: Project) -> None:
    script(project, fp32=Evidence(layers=(FAST,)), int8=Evidence(layers=(SLOW,)))
    _, run, first = api.run(project.suite, project.out)
    before = (project.out / "run.jsonl").read_bytes()
    _, again, second = api.run(project.suite, project.out, resume=True)
    assert (project.out / "run.jsonl").read_bytes() == before
    assert (second.verdicts, second.exit_code) == (first.verdicts, first.exit_code)
    assert again.records == run.records


def test_a_cell_that_cannot_be_inspected_is_not_said_to_have_fallen_back(
    project: Project,
) -> None:
    project.script({"*": {"open": "raise"}})
    _, run, judgement = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    assert record.error is not None and record.error.kind == "BuildError"
    assert [one.status for one in judgement.verdicts] == ["failed", "missing"]


def test_a_later_round_that_fell_back_fails_the_cell(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells with budgets on stages are inspected in each round: what one of them shows counts."""
    budget = '\n[[budgets]]\nname = "body"\nmetric = "stage_s"\nstage = "body"\nmax = 1.0\n'
    net = (project.folder / "net.py").read_text()
    stages = 'Model(build=never, stages=(Stage("body", ("body",)),))'
    net = net.replace("import Model,", "import Model, Stage,").replace("Model(build=never)", stages)
    (project.folder / "net.py").write_text(net)
    project.write(ONEDNN + budget)
    seen: list[int] = []

    def execute(job):  # type: ignore[no-untyped-def]
        if job.kind == "inspect":
            seen.append(1)
            evidence = Evidence(layers=(FAST if len(seen) == 1 else SLOW,))
            told = {"evidence": msgspec.to_builtins(evidence), "kernels": {"body/Conv": 0.8}}
            project.script({"*": told})
        return here(job)

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    _, run, judgement = api.run(project.suite, project.out, only=FP32)
    (record,) = run.records.values()
    assert len(seen) == 2
    assert record.error is not None and record.error.kind == "SilentFallback"
    required = next(one for one in judgement.verdicts if one.check == "require")
    assert required.status == "failed"
