"""Which nets are trained, and how long: decided once, before the first training begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.errors import PerfsuiteError
from perfsuite.search import rules
from perfsuite.search.candidates import Row, Schedule, plan_of, recipe
from perfsuite.search.costs import MARGIN
from perfsuite.search.plans import Left, PhasePlan, Trial
from perfsuite.search.scores import Score

if TYPE_CHECKING:
    from perfsuite.search.search import Search

_EPOCHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


class Training(msgspec.Struct, frozen=True):
    """A training of a row by a plan, and how many seconds it takes with all that follows it."""

    row: str
    plan: dict[str, Any]
    seconds: float


class _Decided(msgspec.Struct, frozen=True):
    trainings: tuple[Training, ...]
    left: dict[str, Left]


class Trainings:
    """The trainings of a search whose candidates were timed, by the clock of one engine."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._rows = {row.name: row for row in search.rows}

    def decided(self) -> tuple[Training, ...]:
        """Return the trainings in order; the search is told why other rows are not trained."""
        found = self._search.decisions.once("trainings", _Decided, self._decide)
        self._search.left |= found.left
        return found.trainings

    def run(self, number: int, training: Training) -> list[Score]:
        """Return the scores of a row after its training; none if there is no time for it left."""
        search, row = self._search, self._rows[training.row]
        name = f"4-trained-{number}"
        begins = search.decisions.once(
            f"{name}: begins", bool, lambda: training.seconds <= search.latest_s()
        )
        if not begins:
            search.left[row.name] = Left("no_time", needed_s=training.seconds)
            return []
        asked = [
            (row.name, recipe(row, one.way, search.clock, training.plan), one.way)
            for one in self._promising(row)
        ]
        plan = search.decisions.once(name, PhasePlan, lambda: search.planned(asked))
        minutes = training.seconds / 60.0
        epochs = training.plan["epochs"]
        words = f"{row.name}: training of {epochs} epochs, about {minutes:.0f} min with all else"
        found = search.found(name, words, plan)
        if late := [one for one in found if one.late]:
            search.left[row.name] = Left("no_time", late[0].error)
        return [one for one in found if not one.late]

    def _decide(self) -> _Decided:
        """Give each row its time: first what is trained already, then the least compression."""
        reserved_s = 0.0
        able = {name: timed for name in self._rows if (timed := self._promising(self._rows[name]))}
        order = sorted(able, key=lambda name: max(map(_speed, able[name])))
        found: dict[str, Training | Left] = {}
        for decide in (self._from_cache, self._within):
            for name in (one for one in order if one not in found):
                try:
                    left_s = self._search.left_s() - reserved_s
                    decided = decide(self._rows[name], able[name], left_s)
                except PerfsuiteError as error:  # of this row alone
                    decided = Left("failed", str(error))
                if decided is not None:
                    found[name] = decided
                if isinstance(decided, Training):
                    reserved_s += decided.seconds
        return _Decided(
            tuple(one for one in found.values() if isinstance(one, Training)),
            {name: one for name, one in found.items() if isinstance(one, Left)},
        )

    def _promising(self, row: Row) -> list[Score]:
        """Return what was timed of a row and may be fast enough."""
        timed = [one for one in self._search.timed if one.row == row.name and one.speedup]
        return [one for one in timed if not rules.is_too_slow(one, self._search.goal)]

    def _from_cache(self, row: Row, timed: list[Score], left_s: float) -> Training | Left | None:
        """Return the whole training of a row if it is in the cache, and so takes no time."""
        search, schedule = self._search, _schedule(row)
        plan = plan_of(schedule, schedule.epochs, search.survey)
        if not search.asked(row, timed[0].way, plan).trained:
            return None
        rest_s = self._rest_s(timed)
        return Training(row.name, plan, rest_s) if rest_s <= left_s else Left("no_time")

    def _within(self, row: Row, timed: list[Score], left_s: float) -> Training | Left | None:
        """Return the longest training of a row that there is time for."""
        search, schedule, rest_s = self._search, _schedule(row), self._rest_s(timed)
        if left_s <= rest_s:
            return Left("no_time")
        once = plan_of(schedule, 1, search.survey)
        estimated = search.asked(row, timed[0].way, training=once)
        epoch_s = MARGIN * (estimated.training_s or 0.0)
        epochs = _epochs(schedule, (left_s - rest_s) / epoch_s if epoch_s > 0.0 else 1e9)
        if epochs < schedule.least:
            return Left("no_time", needed_s=rest_s + schedule.least * epoch_s)
        plan = plan_of(schedule, epochs, search.survey)
        return Training(row.name, plan, rest_s + epochs * epoch_s)

    def _rest_s(self, timed: list[Score]) -> float:
        """Return the seconds of all that a row needs besides its training."""
        trials = [Trial(one.row, one.way, one.cell) for one in timed]
        return self._search.costs.trials_s(trials, evaluate=True)


def _schedule(row: Row) -> Schedule:
    if row.schedule is None:
        raise ValueError(f"{row.name} trains nothing")
    return row.schedule


def _epochs(schedule: Schedule, most: float) -> int:
    """Return the number of epochs: all, or the next round number below what there is time for."""
    if most >= schedule.epochs:
        return schedule.epochs
    return max((count for count in _EPOCHS if count <= most), default=0)


def _speed(one: Score) -> float:
    return one.speedup.value if one.speedup is not None else 0.0
