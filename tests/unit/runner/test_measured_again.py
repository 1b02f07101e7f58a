"""What looks like a regression is measured a second time."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import msgspec
import pytest
from baseline_project import BaselineProject
from fake_runs import FP32, INT8

from perfsuite import api
from perfsuite.domain.record import Line
from perfsuite.runner import schedule
from perfsuite.runner.job import Job
from perfsuite.store.journal import read


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaselineProject:
    made = BaselineProject(tmp_path, monkeypatch)
    api.run(made.suite, made.before, keep_artifacts=True)
    return made


def test_what_looks_like_a_regression_is_measured_again(project: BaselineProject) -> None:
    slow = {INT8: 0.02}
    project.latency_s = lambda job: 0.01 if job.baseline else slow.get(job.cell.key, 0.01)
    project.write(processes=3)
    shutil.rmtree(project.before)
    slow.clear()
    api.run(project.suite, project.before)
    slow[INT8] = 0.02
    project.change()
    _, run, judgement = api.run(project.suite, project.out, baseline=project.before)
    again = [
        (line.key, line.round, line.baseline)
        for line in project.lines()
        if line.job == "measure" and (line.round or 0) >= 3
    ]
    assert again == [
        (INT8, 3, True),
        (INT8, 3, False),
        (INT8, 4, False),
        (INT8, 4, True),
        (INT8, 5, True),
        (INT8, 5, False),
    ]
    assert run.again is not None
    assert [cell.key for cell in run.again.header.cells] == [INT8]
    assert [len(one.latencies_s) for one in run.again.beside.values()] == [3]
    assert judgement.exit_code == 1
    before = (project.out / "run.jsonl").read_bytes()
    api.run(project.suite, project.out, resume=True)
    assert (project.out / "run.jsonl").read_bytes() == before


AUTO = 'processes = "auto"\nmax_processes = 6'


def test_rounds_go_on_until_the_change_is_decided_and_once_more_if_it_is_red(
    project: BaselineProject,
) -> None:
    """What swings by 4 % around no change stays open; 30 % are clear at the first look."""
    slow = {"by": 0.1}  # then, which does not matter

    def latency_s(job: Job) -> float:
        swing = 0.0 if job.baseline or job.round is None else 0.04 * (-1) ** job.round
        return 0.01 if job.baseline else 0.01 * (1.0 + slow["by"] + swing)

    project.latency_s = latency_s
    project.suite.write_text(project.suite.read_text().replace("processes = 2", AUTO))
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, only=FP32)
    project.change()
    rounds = {}
    for by in (0.0, 0.3):
        slow["by"] = by
        out = project.folder / str(by)
        _, run, judgement = api.run(project.suite, out, baseline=project.before, only=FP32)
        lines = [line for line in read(out)[1] if line.job == "measure"]
        rounds[by] = sorted(line.round or 0 for line in lines if line.baseline)
        assert rounds[by] == sorted(line.round or 0 for line in lines if not line.baseline)
        assert judgement.exit_code in ({0, 3} if by == 0.0 else {1})
        assert (run.again is not None) == (by > 0.0)
    assert rounds[0.0] == [0, 1, 2, 3, 4, 5]
    assert rounds[0.3] == [0, 1, 2, 3, 6, 7, 8, 9]  # fresh ones follow the last there may be


def test_time_that_the_first_measurement_took_is_not_taken_from_the_second(
    project: BaselineProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is 10 % slower, and swings by 4 %, four rounds are too few in both measurements."""

    def latency_s(job: Job) -> float:
        here = not job.baseline and job.round is not None
        return 0.01 * math.exp(0.0953 + 0.04 * (-1) ** (job.round or 0)) if here else 0.01

    def execute(job: Job) -> Line:
        line = project.execute(job)
        return msgspec.structs.replace(line, duration_s=10.0) if job.kind == "measure" else line

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    auto = 'processes = "auto"\nminutes = 2.2'
    project.suite.write_text(project.suite.read_text().replace("processes = 2", auto))
    shutil.rmtree(project.before)
    project.latency_s = lambda job: 0.01
    api.run(project.suite, project.before, only=FP32)
    project.change()
    project.latency_s = latency_s
    _, run, judgement = api.run(project.suite, project.out, baseline=project.before, only=FP32)
    assert run.again is not None
    (first,), (second,) = run.records.values(), run.again.records.values()
    # The time of 132 s is over after seven rounds of 20 s, which the first measurement needs.
    assert list(first.latencies_s) == list(range(7))
    assert list(second.latencies_s) == list(range(24, 31))
    assert (run.measured_s, run.again.measured_s) == (140.0, 280.0)
    assert judgement.exit_code == 1
    assert judgement.warnings == ()


def test_a_stage_that_is_held_against_the_baseline_is_profiled_beside_it(
    project: BaselineProject,
) -> None:
    budget = """
[[budgets]]
name         = "convolutions"
metric       = "stage_s"
stage        = "body"
cell         = "net/fp32/*"
baseline     = true
max_increase = 0.5
"""
    project.kernels = {"body/Conv": 0.5}
    project.write(budget, processes=3)
    net = project.folder / "net.py"
    staged = "Model(build=never, stages=(Stage('body', ('body',)),))"
    text = net.read_text().replace("Model(build=never)", staged)
    net.write_text(text.replace("import Model", "import Model, Stage"))
    shutil.rmtree(project.before)
    api.run(project.suite, project.before, keep_artifacts=True)
    project.change()
    project.latency_s = lambda job: 0.01 if job.baseline else 0.0101
    _, _, judgement = api.run(project.suite, project.out, baseline=project.before)
    inspected = [(one.key, one.round) for one in project.beside() if one.job == "inspect"]
    assert inspected == [(FP32, 0), (FP32, 1), (FP32, 2)]
    (verdict,) = (one for one in judgement.verdicts if one.budget == "convolutions")
    assert (verdict.status, verdict.beside) == ("pass", True)
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(0.01)


def test_without_an_artifact_only_the_cell_is_measured_again(project: BaselineProject) -> None:
    project.write(processes=3)
    shutil.rmtree(project.before)
    api.run(project.suite, project.before)
    project.change()
    project.forget()
    project.latency_s = lambda job: 0.02 if job.cell.key == INT8 else 0.01
    _, run, _ = api.run(project.suite, project.out, baseline=project.before)
    again = [
        (line.key, line.round, line.baseline)
        for line in project.lines()
        if line.job == "measure" and (line.round or 0) >= 3
    ]
    assert again == [(INT8, 3, False), (INT8, 4, False), (INT8, 5, False)]
    assert run.again is not None
