"""A change of known size in a run beside its baseline, which is not slowed down."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, INT8, Project, here

from perfsuite import api
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.runner import schedule
from perfsuite.runner.job import Job, first_job


def test_what_is_slowed_down_is_slower_than_its_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    project = Project(tmp_path, monkeypatch)
    api.run(project.suite, tmp_path / "before")

    def slowed(suite: ResolvedSuite, cell: Cell) -> Job:
        job = first_job(suite, cell)
        recipe = msgspec.structs.replace(job.recipe, slowdown=0.1 if cell.key == FP32 else 0.0)
        return msgspec.structs.replace(job, recipe=recipe)

    monkeypatch.setattr(schedule, "first_job", slowed)
    _, run, judgement = api.run(project.suite, project.out, baseline=tmp_path / "before")
    found = {
        cell.key: (run.records[cell.id].latencies_s[0][0], run.beside[cell.id].latencies_s[0][0])
        for cell in run.header.cells
    }
    assert found == {FP32: (0.0011, 0.001), INT8: (0.001, 0.001)}
    assert {one.cell for one in judgement.verdicts if one.status == "regressed"} == {FP32}
