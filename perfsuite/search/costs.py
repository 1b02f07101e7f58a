"""How long phases may take, so that a search ends in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Line
from perfsuite.search.plans import PhasePlan, Trial
from perfsuite.search.ways import Way

# Guesses in seconds, where nothing like it was measured yet.
PASS_S = 40.0  # a pass on the module that hears the clock of an engine
BUILD_S = 15.0  # export, build and parity
EVALUATE_S = 30.0
TEST_OVER_VALIDATION = 7.0  # samples, as of CIFAR-10: how many there are is not looked up before
FINAL_ROUNDS = 8  # until the verdicts are decided
MARGIN = 1.1  # by which a training may take longer than a few of its steps told


class Costs:
    """How long candidates may take, from the lines of the first phase, which has each way."""

    def __init__(self, plan: PhasePlan, reference: Cell, lines: Sequence[Line]) -> None:
        self._spent_s: dict[tuple[str, str], float] = {}
        for line in lines:
            place = (line.cell, line.job)
            self._spent_s[place] = self._spent_s.get(place, 0.0) + line.duration_s
        self._rounds = plan.suite.processes
        self._reference = reference
        self._cells = {_place(one.way): one.cell for one in plan.trials}

    def trials_s(self, trials: Sequence[Trial], *, evaluate: bool) -> float:
        """Return the seconds that a phase of these trials may take, without trainings."""
        passes = len({one.row for one in trials if one.row})
        ways_s = sum(self._cell_s(self._like(one.way), evaluate=evaluate) for one in trials)
        return PASS_S * passes + ways_s + self._cell_s(self._reference, evaluate=evaluate)

    def final_s(self, ways: Iterable[Way]) -> float:
        """Return the seconds that the final run of candidates in these ways may take."""
        cells = [self._reference, *map(self._like, ways)]
        return sum(
            self._job_s(cell, "prepare", BUILD_S) / 2.0
            + self._job_s(cell, "evaluate", EVALUATE_S) * TEST_OVER_VALIDATION
            + self._job_s(cell, "inspect", 0.0)
            + self._job_s(cell, "measure", 0.0) * FINAL_ROUNDS / self._rounds
            for cell in cells
        )

    def _cell_s(self, cell: Cell, *, evaluate: bool) -> float:
        evaluate_s = self._job_s(cell, "evaluate", EVALUATE_S) if evaluate else 0.0
        timed_s = self._job_s(cell, "measure", 0.0) + self._job_s(cell, "inspect", 0.0)
        return self._job_s(cell, "prepare", BUILD_S) + evaluate_s + timed_s

    def _job_s(self, cell: Cell, job: str, guess_s: float) -> float:
        return self._spent_s.get((cell.id, job), guess_s)

    def _like(self, way: Way) -> Cell:
        """Return the cell of the plain net in the way, or in one on the same engine."""
        found = self._cells.get(_place(way)) or self._cells.get((way.runtime, way.precision, ""))
        return found or self._reference


def fitting(trials: Sequence[Trial], left_s: float, costs: Costs, *, evaluate: bool) -> int:
    """Return how many of the trials, from the first on, fit into the time that is left."""
    count = len(trials)
    while count and costs.trials_s(trials[:count], evaluate=evaluate) > left_s:
        count -= 1
    return count


def _place(way: Way) -> tuple[str, str, str]:
    return way.runtime, way.precision, "int8" if way.rounds else ""
