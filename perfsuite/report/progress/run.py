"""The progress of a run: its current job, and the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console


class RunProgress:
    """Shows the progress of a run: on a terminal by a bar, elsewhere by a line for each job.

    It draws only when a job begins or ends, and while one prepares, so that measurements are not
    disturbed. `expected_s` maps (cell key, kind) to the expected seconds of one job, and `total_s`
    is the expected duration of all jobs.
    """

    def __init__(
        self, console: Console, expected_s: Mapping[tuple[str, str], float], total_s: float
    ) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.console, self.expected_s, self.total_s = console, expected_s, total_s
        self.done_s = 0.0  # by expectation
        self.spent_s = 0.0  # in truth, and what it was expected to take
        self.spent_expected_s = 0.0
        self.under_way: set[tuple[str, str, int | None]] = set()  # several take turns
        self.job = ""  # that was begun last
        self.bar = Progress(
            TextColumn("{task.percentage:>3.0f}%"),
            BarColumn(24),
            TextColumn("{task.description}"),
            console=console,
            auto_refresh=False,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("", total=max(total_s, 1e-9))

    def __enter__(self) -> RunProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def started(self, cell: Cell, kind: str, number: int | None) -> None:
        """Show the job that begins."""
        self.under_way.add((cell.key, kind, number))
        turn = "" if number is None else f" round {number + 1}"
        self.job = f"{kind}{turn} {cell.key}"
        self._draw(f"{self.job}, {self._left()} left")

    def progressed(self, text: str) -> None:
        """Show the progress of the current job."""
        self._draw(f"{self.job}: {text}")

    def finished(self, line: Line) -> None:
        """Count the job, and print its failure if it failed.

        A job that was finished before this process began is only counted.
        """
        self._count(line.key, line.job)
        name = (line.key, line.job, line.round)
        if name not in self.under_way:
            return
        self.under_way.remove(name)
        if line.status == "ok" and not line.cached:  # else it says nothing of the jobs to come
            self.spent_s += line.duration_s
            self.spent_expected_s += self.expected_s.get((line.key, line.job), 0.0)
        if line.status != "ok":
            said = line.error.message.strip().splitlines() if line.error else []
            words = said[0] if said else line.error.kind if line.error else ""
            self._say(f"{line.status}: {line.job} {line.key}: {words}")
        elif not self.console.is_terminal:
            turn = "" if line.round is None else f" round {line.round + 1}"
            how = "cached" if line.cached else f"{line.duration_s:.1f} s"
            self._say(f"{line.job}{turn} {line.key}: {how}, {self._left()} left")
        self._draw(f"{self._left()} left")

    def skipped(self, cell: Cell, kind: str) -> None:
        """Count a job that is left out, as after a failure of its cell or without labels."""
        self._count(cell.key, kind)

    def _count(self, key: str, kind: str) -> None:
        self.done_s = min(self.total_s, self.done_s + self.expected_s.get((key, kind), 0.0))

    def _left(self) -> str:
        # The rest is expected to deviate from its estimate as the jobs before have done.
        known = self.spent_expected_s > 1.0
        factor = self.spent_s / self.spent_expected_s if known else 1.0
        seconds = round((self.total_s - self.done_s) * factor)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _say(self, text: str) -> None:
        from rich.text import Text  # nothing in a name or a message is taken for markup

        self.console.print(Text(text), soft_wrap=True)

    def _draw(self, text: str) -> None:
        from rich.markup import escape

        self.bar.update(self.task, completed=self.done_s, description=escape(text), refresh=True)
