"""Cells with a switch: their artifact, their processes, and what becomes of those that fail."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from fake_runs import Project, names

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.reading import read_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import EMULATED, Line, Run
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.runner.forks import imports_of
from perfsuite.runner.groups import groups
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.observer import SilentObserver
from perfsuite.runner.process import _command, _environment
from perfsuite.runner.run_folder import created
from perfsuite.runner.schedule import work_off
from perfsuite.store.runs import load_run

WHOLE = "net/fp32/fake/cpu/b1"
ONE_THREAD, EMULATED_CELL = f"{WHOLE}/one-thread", f"{WHOLE}/qemu-haswell"

# It stands in for the emulator, and for one that says so.
EMULATOR = """#!/bin/sh
echo "$1 $2" >> {asked}
shift 2
exec "$@"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def switched(project: Project, *switches: str) -> ResolvedSuite:
    suite = read_suite(project.suite)
    return msgspec.structs.replace(
        suite, recipes=suite.recipes[:1], threads=2, switches=switches, processes=2
    )


def run(project: Project, suite: ResolvedSuite, cells: tuple[Cell, ...] | None = None) -> Run:
    with created(project.out, suite, cells_of(suite) if cells is None else cells) as journal:
        work_off(journal, SilentObserver())
    return load_run(project.out)


def job_of(project: Project, switch: str, **changes: object) -> Job:
    suite = switched(project)
    (whole,) = cells_of(suite)
    job = first_job(suite, msgspec.structs.replace(whole, switch=switch))
    return msgspec.structs.replace(job, **{"kind": "measure", **changes})


def line_of(lines: list[Line], key: str, kind: str) -> Line:
    return next(line for line in lines if (line.key, line.job) == (key, kind))


def test_a_switch_is_in_the_environment_of_jobs_that_open_the_artifact(project: Project) -> None:
    assert _environment(job_of(project, "one-thread"))["OMP_NUM_THREADS"] == "1"
    assert _environment(job_of(project, ""))["OMP_NUM_THREADS"] == "2"
    assert _environment(job_of(project, "onednn-avx2"))["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    for changes in ({"kind": "prepare"}, {"kind": "evaluate", "cached_only": True}):
        given = _environment(job_of(project, "one-thread", **changes))
        assert given["OMP_NUM_THREADS"] == "2"


def test_an_emulator_stands_before_the_interpreter(project: Project) -> None:
    job = job_of(project, "qemu-haswell", kind="evaluate")
    assert _command(job, project.folder)[:3] == ["qemu-x86_64", "-cpu", "Haswell"]
    prepare = job_of(project, "qemu-haswell", kind="prepare")
    assert _command(prepare, project.folder)[0] != "qemu-x86_64"


def test_a_switch_takes_effect_before_anything_is_imported(project: Project) -> None:
    assert imports_of(job_of(project, "", kind="evaluate")) is not None
    assert imports_of(job_of(project, "one-thread", kind="evaluate")) is None
    assert imports_of(job_of(project, "one-thread", kind="evaluate", cached_only=True)) is not None


def test_a_cell_with_a_switch_uses_the_artifact_of_that_without(project: Project) -> None:
    project.script({"*/one-thread": {"latencies_s": [0.02]}, "*": {"latencies_s": [0.01]}})
    found = run(project, switched(project, "one-thread"))
    lines = project.lines()
    whole, other = (line_of(lines, key, "prepare") for key in (WHOLE, ONE_THREAD))
    assert whole.artifact == other.artifact != ""
    assert not line_of(lines, WHOLE, "evaluate").cached
    assert not line_of(lines, ONE_THREAD, "evaluate").cached  # its rows are its own
    timed = [line for line in lines if line.job == "measure"]
    assert {line.together for line in timed} == {timed[0].together} != {""}
    records = {record.cell.key: record for record in found.records.values()}
    assert {record.status for record in records.values()} == {"ok"}
    assert set(records[WHOLE].latencies_s[0]) == {0.01}
    assert set(records[ONE_THREAD].latencies_s[0]) == {0.02}


def test_what_crashes_with_a_library_off_fails_alone(project: Project) -> None:
    project.script({"*/one-thread": {"run": "crash"}})
    found = run(project, switched(project, "one-thread"))
    records = {record.cell.key: record for record in found.records.values()}
    assert records[WHOLE].status == "ok"
    assert records[ONE_THREAD].status == "failed"
    error = records[ONE_THREAD].error
    assert error is not None and "SIGSEGV" in error.message


def test_an_emulated_cell_answers_and_is_not_measured(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator, asked = project.folder / "bin" / "qemu-x86_64", project.folder / "asked"
    emulator.parent.mkdir()
    emulator.write_text(EMULATOR.format(asked=asked))
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", f"{emulator.parent}{os.pathsep}{os.environ['PATH']}")
    found = run(project, switched(project, "qemu-haswell"))
    record = found.records[cells_of(switched(project, "qemu-haswell"))[1].id]
    assert record.cell.key == EMULATED_CELL
    assert record.status == "ok" and not record.latencies_s
    assert EMULATED in record.labels and record.accuracy is not None
    assert asked.read_text().splitlines() == ["-cpu Haswell"] * 2  # evaluate and inspect
    answered = line_of(project.lines(), EMULATED_CELL, "evaluate")
    assert answered.device is None  # it is not the processor of the run
    assert (EMULATED_CELL, "measure", 0) not in names(project.lines())
    assert (WHOLE, "measure", 1) in names(project.lines())


def test_what_cannot_take_effect_says_why_and_the_rest_goes_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = switched(project)
    (whole,) = cells_of(suite)
    monkeypatch.setenv("PATH", str(project.folder))
    odd = [msgspec.structs.replace(whole, switch=one) for one in ("qemu-haswell", "onednn-off")]
    with created(project.out, suite, (whole, *odd)) as journal:
        work_off(journal, SilentObserver())
    records = {one.cell.switch: one for one in load_run(project.out).records.values()}
    assert records[""].status == "ok"
    assert records["qemu-haswell"].status == "unavailable"
    assert records["onednn-off"].status == "unsupported"


def test_a_suite_with_an_unknown_switch_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match="unknown switch 'one-thred'; did you mean 'one-thread'"):
        cells_of(switched(project, "one-thred"))


def test_cells_are_grouped_with_what_they_are_without_the_switch(project: Project) -> None:
    suite = msgspec.structs.replace(
        switched(project, "one-thread", "qemu-haswell"), runtimes=("fake", "onnxruntime")
    )
    found = [[cell.key for cell in group] for group in groups(suite, cells_of(suite))]
    other = "net/fp32/onnxruntime/cpu/b1"
    assert found == [[WHOLE, ONE_THREAD], [other, f"{other}/one-thread"]]
