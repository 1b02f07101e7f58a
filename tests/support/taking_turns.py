"""Measure jobs of the scripted engine, and what comes of them in turns."""

from __future__ import annotations

import msgspec
from fake_runs import Project, here

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.reading import read_suite
from perfsuite.domain.record import Line
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.turns import measure_in_turns


def jobs(project: Project) -> list[Job]:
    """Return the measure jobs of the project's two cells, whose artifacts are made."""
    suite = read_suite(project.suite)
    found = []
    for cell in cells_of(suite):
        job = first_job(suite, cell)
        line = here(job)
        assert line.status == "ok", line.error
        folder = project.folder / "home" / "cache" / "artifact" / line.artifact
        assert folder.is_dir()
        changes = {"kind": "measure", "round": 0, "together": "us", "artifact": str(folder)}
        found.append(msgspec.structs.replace(job, **changes))
    return found


def measured(project: Project) -> list[Line]:
    """Return the lines of the project's two cells, measured in turns."""
    return measure_in_turns(jobs(project), lambda job: None)
