"""A project with a baseline, and scripted latencies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_runs import Project, here

from perfsuite import api
from perfsuite.domain.record import Line
from perfsuite.runner import schedule
from perfsuite.runner.job import Job


class BaselineProject(Project):
    """A project whose baseline lies in `before`, with a latency of its own.

    Jobs are done in this process, one after the other: `latency_s` is what each of a job takes.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, patch)
        patch.setenv("PERFSUITE_CELL", "")
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, self.execute))
        self.before = folder / "before"
        self.latency_s: Callable[[Job], float] = lambda job: 0.01
        self.jobs: list[Job] = []
        self.kernels: dict[str, float] = {}
        self.breaks: Callable[[Job], bool] = lambda job: False

    def execute(self, job: Job) -> Line:
        self.jobs.append(job)
        broken = {"run": "raise"} if self.breaks(job) else {}
        self.script(
            {"*": {"latencies_s": [self.latency_s(job)], "kernels": self.kernels, **broken}}
        )
        return here(job)

    def change(self) -> None:
        """Change the workload's source, from which new artifacts follow."""
        file = self.folder / "net.py"
        file.write_text(file.read_text() + "\n# changed\n")

    def forget(self) -> None:
        """Remove the artifacts from the cache."""
        shutil.rmtree(self.folder / "home" / "cache" / "artifact")

    def beside(self) -> list[Line]:
        return [line for line in self.lines() if line.baseline]
