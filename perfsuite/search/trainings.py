"""Which nets are trained, and how long: decided once, before the first training begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.survey import Survey
from perfsuite.search import rules
from perfsuite.search.candidates import Row, Schedule, module_pass, plan_of, recipe
from perfsuite.search.costs import MARGIN
from perfsuite.search.plans import Left, PhasePlan, Trial
from perfsuite.search.scores import Score
from perfsuite.search.ways import Way

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

    def __init__(self, search: Search, clock: str) -> None:
        self._search, self._clock = search, clock
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
            f"{name}: begins", bool, lambda: training.seconds <= search.left_s()
        )
        if not begins:
            search.left[row.name] = Left("no_time", needed_s=training.seconds)
            return []
        asked = [
            (row.name, recipe(row, one.way, self._clock, training.plan), one.way)
            for one in self._promising(row)
        ]
        plan = search.decisions.once(name, PhasePlan, lambda: search.planned(asked))
        minutes = training.seconds / 60.0
        epochs = training.plan["epochs"]
        words = f"{row.name}: training of {epochs} epochs, about {minutes:.0f} min with all else"
        return search.found(name, words, plan)

    def _decide(self) -> _Decided:
        """Give each row its time, the least compression that is fast enough first."""
        trainings: list[Training] = []
        left: dict[str, Left] = {}
        left_s = self._search.left_s()
        able = {row.name: found for row in self._rows.values() if (found := self._promising(row))}
        for name in sorted(able, key=lambda name: max(map(_speed, able[name]))):
            decided = self._within(self._rows[name], able[name], left_s)
            if isinstance(decided, Left):
                left[name] = decided
            else:
                trainings.append(decided)
                left_s -= decided.seconds
        return _Decided(tuple(trainings), left)

    def _promising(self, row: Row) -> list[Score]:
        """Return what was timed of a row and may be fast enough."""
        timed = [one for one in self._search.timed if one.row == row.name and one.speedup]
        return [one for one in timed if not rules.is_too_slow(one, self._search.goal)]

    def _within(self, row: Row, timed: list[Score], left_s: float) -> Training | Left:
        """Return the longest training that there is time for; one in the cache takes none."""
        search, schedule = self._search, row.schedule
        if schedule is None:
            raise ValueError(f"{row.name} trains nothing")
        trials = [Trial(one.row, one.way, one.cell) for one in timed]
        rest_s = search.costs.trials_s(trials, evaluate=True)
        whole = plan_of(schedule, schedule.epochs, search.survey)
        words = f"{row.name}: whether it is trained already, and how long that takes"
        if self._asked(words, row, timed[0].way, whole, {}).trained:
            return Training(row.name, whole, rest_s)
        if left_s <= rest_s:
            return Left("no_time")
        once = {**plan_of(schedule, 1, search.survey)}
        epoch_s = MARGIN * (self._asked(words, row, timed[0].way, None, once).training_s or 0.0)
        epochs = _epochs(schedule, (left_s - rest_s) / epoch_s if epoch_s > 0.0 else 1e9)
        if epochs < schedule.least:
            return Left("no_time", needed_s=rest_s + schedule.least * epoch_s)
        plan = plan_of(schedule, epochs, search.survey)
        return Training(row.name, plan, rest_s + epochs * epoch_s)

    def _asked(
        self, words: str, row: Row, way: Way, plan: dict[str, Any] | None, training: dict[str, Any]
    ) -> Survey:
        """Return what a survey finds of the row's net, before any graph pass."""
        search = self._search
        asked = ResolvedRecipe(row.name, (module_pass(row, self._clock, plan),))
        suite = msgspec.structs.replace(search.suite, recipes=(FP32, asked))
        cell = msgspec.structs.replace(
            search.reference, recipe=asked.name, runtime=way.runtime, precision=way.precision
        )
        return search.phases.survey(words, suite, cell, training)


def _epochs(schedule: Schedule, most: float) -> int:
    """Return the number of epochs: all, or the next round number below what there is time for."""
    if most >= schedule.epochs:
        return schedule.epochs
    return max((count for count in _EPOCHS if count <= most), default=0)


def _speed(one: Score) -> float:
    return one.speedup.value if one.speedup is not None else 0.0
