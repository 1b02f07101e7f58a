"""The progress bars of runs whose jobs are known only once they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.config.run_plan import RunPlan
from perfsuite.domain.record import Header
from perfsuite.report.progress.run import RunProgress

if TYPE_CHECKING:
    from rich.console import Console


class FollowRun:
    """Makes the bar when it is called with the plan of the run; `close` takes it away again."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: RunProgress | None = None

    def __call__(self, header: Header, planned: RunPlan) -> RunProgress:
        """Return the bar, which watches the run."""
        expected_s = {(job.cell, str(job.kind)): job.each_s for job in planned.jobs}
        limit = header.suite.minutes
        self.bar = RunProgress(self.console, expected_s, planned.total_s, limit)
        return self.bar.__enter__()

    def close(self) -> None:
        """Remove the bar, if there is one."""
        if self.bar is not None:
            self.bar.__exit__()


class FollowSearch(FollowRun):
    """Shows the phases of a search by a line each, and the bar of the run of each."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.begun = False

    def phase(self, words: str) -> None:
        """Print what begins; the bar of the phase before is taken away."""
        self.begun = True
        self.close()
        self.bar = None
        self.console.print(words, style="bold", highlight=False, markup=False)
