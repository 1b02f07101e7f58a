"""Who watches a run: is told its progress, and shows it or does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import JobKind, Line
from perfsuite.judge.open_questions import OpenQuestion
from perfsuite.runner.progress import is_count


class Observer(Protocol):
    """Is told the progress of a run."""

    def started(self, cell: Cell, kind: JobKind, number: int | None) -> None:
        """Tell that a job begins; `number` is its round. Be idle while a measure job runs."""
        ...

    def progressed(self, text: str) -> None:
        """Tell the progress of the prepare job, such as `prune: 120 of 900, 1:10 left`."""
        ...

    def finished(self, line: Line) -> None:
        """Tell that a job has ended with `line`, now or before the run was resumed."""
        ...

    def skipped(self, cell: Cell, kind: JobKind) -> None:
        """Tell that a job is not needed: an earlier one failed, or there are no labels."""
        ...

    def looked(
        self, group: Sequence[Cell], rounds: int, questions: Sequence[OpenQuestion], most: int
    ) -> None:
        """Tell what is open after `rounds` rounds of a group, which has at most `most`.

        Unless nothing is, that was the last, or the time is up, a further round follows.
        """
        ...

    def warned(self, text: str) -> None:
        """Tell at once what a person could do something about while the run goes on."""
        ...

    def measured_again(self, cells: Sequence[Cell], begin: int, rounds: int) -> None:
        """Tell that cells, which look like regressions, are measured for `rounds` more rounds.

        These are numbered from `begin` on; with looks there may be more of them.
        """
        ...

    def noted(self, text: str) -> None:
        """Tell what is or has been done beside measuring, such as how long a training takes."""
        ...


def pass_on(observer: Observer, key: str, text: str) -> None:
    """Tell what a pass says of the cell `key`: a count, which the next replaces, or a sentence."""
    if is_count(text):
        observer.progressed(text)
    else:
        observer.noted(f"{key}: {text}")


class SilentObserver:
    """Watches a run and shows nothing."""

    def started(self, cell: Cell, kind: JobKind, number: int | None) -> None:
        """Show nothing."""

    def progressed(self, text: str) -> None:
        """Show nothing."""

    def finished(self, line: Line) -> None:
        """Show nothing."""

    def skipped(self, cell: Cell, kind: JobKind) -> None:
        """Show nothing."""

    def looked(
        self, group: Sequence[Cell], rounds: int, questions: Sequence[OpenQuestion], most: int
    ) -> None:
        """Show nothing."""

    def warned(self, text: str) -> None:
        """Show nothing: it is among the run's warnings at the end."""

    def measured_again(self, cells: Sequence[Cell], begin: int, rounds: int) -> None:
        """Show nothing."""

    def noted(self, text: str) -> None:
        """Show nothing."""
