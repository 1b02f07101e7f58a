"""The progress of a run: its current job, and the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from perfsuite.judge.open_questions import OpenQuestion


class RunProgress:
    """Shows the progress of a run: on a terminal by a bar, elsewhere by a line for each job.

    It draws only when a job begins or ends, and while one prepares, so that measurements are not
    disturbed. `expected_s` maps (cell key, kind) to the expected seconds of one job, and `total_s`
    is the expected duration of all jobs. After `minutes` of measuring no round begins.
    """

    def __init__(
        self,
        console: Console,
        expected_s: Mapping[tuple[str, str], float],
        total_s: float,
        minutes: float | None = None,
    ) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.console, self.expected_s, self.total_s = console, expected_s, total_s
        self.minutes, self.measured_s = minutes, 0.0  # of the rounds
        self.done_s = 0.0  # by expectation
        self.spent_s = 0.0  # in truth, and what it was expected to take
        self.spent_expected_s = 0.0
        self.under_way: set[tuple[str, str, int | None]] = set()  # several take turns
        self.job = ""  # that was begun last
        self.again: int | None = None  # the number of the first round of a second measurement
        self.own: set[str] = set()  # the keys of cells that this process has begun a job of
        self.open: dict[str, str] = {}  # by cell key: what is not decided of its group
        self.forecasts: dict[str, int] = {}  # by group: after how many rounds all may be decided
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
        self.own.add(cell.key)
        turn = self._turn(number)
        self.job = f"{kind}{turn} {cell.key}"
        self._draw(f"{self.job}, {self._left()} left{self._open(cell.key, kind)}")

    def progressed(self, text: str) -> None:
        """Show the progress of the current job."""
        self._draw(f"{self.job}: {text}")

    def finished(self, line: Line) -> None:
        """Count the job, and print its failure if it failed.

        A job that was finished before this process began is only counted.
        """
        if line.round is not None:
            self.measured_s += line.duration_s
        if line.baseline:
            self._beside(line)
            return
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
            turn = self._turn(line.round)
            how = "cached" if line.cached else f"{line.duration_s:.1f} s"
            still_open = self._open(line.key, line.job)
            self._say(f"{line.job}{turn} {line.key}: {how}, {self._left()} left{still_open}")
        self._draw(f"{self._left()} left")

    def skipped(self, cell: Cell, kind: str) -> None:
        """Count a job that is left out, as after a failure of its cell or without labels."""
        self._count(cell.key, kind)

    def looked(
        self, group: Sequence[Cell], rounds: int, questions: Sequence[OpenQuestion], most: int
    ) -> None:
        """Show what is open beside the jobs to come, or print that a group is not measured on."""
        name = _group_name(group)
        count = f"{len(questions)} verdict{'s' * (len(questions) != 1)}"
        forecast = max((one.rounds or most for one in questions), default=rounds)
        self._expect(group, forecast - self.forecasts.get(name, rounds))
        self.forecasts[name] = forecast
        for cell in group:
            self.open.pop(cell.key, None)
        if questions and rounds < most:
            known = all(one.rounds is not None for one in questions)
            until = f"until about round {forecast}" if known else f"maybe beyond round {most}"
            if self.minutes is not None:
                until += f" or {self.minutes:g} min of measuring"
            self.open |= {cell.key: f"; open: {count}, {until}" for cell in group}
        elif not any(cell.key in self.own for cell in group):
            return  # all of it was measured before this process began
        elif questions:
            which = ", ".join(f"{one.about} ({one.cell})" for one in questions)
            self._say(f"{name}: {count} still open after {most} rounds, the limit: {which}")
        else:
            self._say(f"{name}: nothing is open after {rounds} rounds")

    def warned(self, text: str) -> None:
        """Print the warning."""
        self._say(f"warning: {text}")

    def measured_again(self, cells: Sequence[Cell], begin: int, rounds: int) -> None:
        """Print which cells are measured a second time, and expect the rounds."""
        self.again = begin
        self._expect(cells, rounds)
        for cell in cells:
            self._say(f"{cell.key}: measured again, because it looked like a regression")

    def noted(self, text: str) -> None:
        """Print it."""
        self._say(text)

    def _beside(self, line: Line) -> None:
        """Count what a baseline took, or print why it is not, or no more, measured beside its cell.

        What is expected of the cell's own jobs holds for both.
        """
        if line.key not in self.own:
            return  # done before this process began
        if line.status == "ok":
            self.spent_s += line.duration_s
            return
        why = line.error.message.strip().splitlines() if line.error else []
        what = "not" if line.job == "prepare" else "no longer"
        reason = why[0] if why else line.status
        self._say(f"{line.key}: {what} measured beside its baseline: {reason}")

    def _turn(self, number: int | None) -> str:
        """Return which round it is, of the first measurement or of the second."""
        if number is None:
            return ""
        if self.again is not None and number >= self.again:
            return f" again, round {number - self.again + 1}"
        return f" round {number + 1}"

    def _open(self, key: str, kind: str) -> str:
        return self.open.get(key, "") if kind in ("measure", "inspect") else ""

    def _expect(self, group: Sequence[Cell], more: int) -> None:
        """Expect so many more rounds of a group, or fewer."""
        round_s = sum(self.expected_s.get((cell.key, "measure"), 0.0) for cell in group)
        self.total_s = max(self.done_s, self.total_s + more * round_s)
        self.bar.update(self.task, total=max(self.total_s, 1e-9))

    def _count(self, key: str, kind: str) -> None:
        self.done_s = min(self.total_s, self.done_s + self.expected_s.get((key, kind), 0.0))

    def _left(self) -> str:
        # The rest is expected to deviate from its estimate as the jobs before have done.
        known = self.spent_expected_s > 1.0
        factor = self.spent_s / self.spent_expected_s if known else 1.0
        left_s = (self.total_s - self.done_s) * factor
        if self.minutes is not None and self.forecasts:  # all that is left is measuring
            left_s = min(left_s, max(0.0, self.minutes * 60.0 - self.measured_s))
        seconds = round(left_s)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _say(self, text: str) -> None:
        from rich.text import Text  # nothing in a name or a message is taken for markup

        self.console.print(Text(text), soft_wrap=True)

    def _draw(self, text: str) -> None:
        from rich.markup import escape

        self.bar.update(self.task, completed=self.done_s, description=escape(text), refresh=True)


def _group_name(group: Sequence[Cell]) -> str:
    """Return the workloads and batch sizes of cells that are measured together."""
    return ", ".join(dict.fromkeys(f"{cell.workload}/b{cell.batch}" for cell in group))
