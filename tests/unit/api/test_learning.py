"""What runs differ by is learned from run to run."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import FP32, Project, here

from perfsuite import api
from perfsuite.domain.record import BetweenRuns
from perfsuite.runner import schedule
from perfsuite.store.levels import Level, add_levels, read_levels


def test_each_run_knows_the_earlier_ones_and_adds_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, monkeypatch)
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    first = api.run(project.suite, project.out, only=FP32).run
    (cell,) = first.header.cells
    machine, artifact = first.header.environment.must_match, first.records[cell.id].artifact
    assert first.header.between_runs == {}
    (level,) = read_levels(machine)[cell.id][artifact]
    assert level.run == first.header.created_at
    for number in range(2):
        add_levels(machine, {cell.id: {artifact: Level(f"{number}", level.value, level.error)}})

    # A run that goes on, with nothing left to do, is the same run.
    api.run(project.suite, project.out, only=FP32, resume=True)
    assert len(read_levels(machine)[cell.id][artifact]) == 3
    later = api.run(project.suite, tmp_path / "later", only=FP32).run
    assert later.header.between_runs == {cell.id: BetweenRuns(0.0, 3)}
    assert api.show(tmp_path / "later").run.header == later.header
    known = read_levels(machine)
    api.run(project.suite, tmp_path / "quick", only=FP32, quick=True)
    assert read_levels(machine) == known
