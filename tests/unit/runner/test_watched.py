"""Who watches a run is told the jobs that will be done, and no others."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from fake_runs import Project

from perfsuite.config.loading import load_suite
from perfsuite.config.run_plan import RunPlan
from perfsuite.domain.record import Header
from perfsuite.runner.observer import SilentObserver
from perfsuite.runner.run_folder import created
from perfsuite.runner.watched import watched


def kinds(folder: Path, patch: pytest.MonkeyPatch, processes: int, *, evaluate: bool) -> set[str]:
    told: list[RunPlan] = []

    def observe(header: Header, planned: RunPlan) -> SilentObserver:
        told.append(planned)
        return SilentObserver()

    project = Project(folder, patch)
    suite, cells, _ = load_suite(project.suite, [], quick=False)
    suite = msgspec.structs.replace(suite, processes=processes)
    with created(project.out, suite, cells) as journal:
        watched(journal, observe, evaluate=evaluate)
    (planned,) = told
    assert all(job.count for job in planned.jobs)
    return {job.kind for job in planned.jobs}


def test_it_is_told_the_jobs_that_will_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
    everything = {"prepare", "evaluate", "inspect", "measure"}
    assert kinds(tmp_path / "a", monkeypatch, 2, evaluate=True) == everything
    assert kinds(tmp_path / "b", monkeypatch, 2, evaluate=False) == everything - {"evaluate"}
    assert kinds(tmp_path / "c", monkeypatch, 0, evaluate=False) == {"prepare", "inspect"}


def test_nobody_watching_is_shown_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path, monkeypatch)
    suite, cells, _ = load_suite(project.suite, [], quick=False)
    with created(project.out, suite, cells) as journal:
        assert isinstance(watched(journal, None), SilentObserver)
