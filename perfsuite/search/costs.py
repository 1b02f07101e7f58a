"""How long phases may take, so that a search ends in time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import Header, Line
from perfsuite.search.candidates import Row, hears_clock
from perfsuite.search.plans import Trial
from perfsuite.search.ways import Way, judges

# Guesses in seconds, where nothing like it was seen yet.
PASS_S = 40.0  # a pass on the module that hears the clock of an engine
BUILD_S = 15.0  # export, build and parity
EVALUATE_S = 30.0
TEST_OVER_VALIDATION = 7.0  # samples, as of CIFAR-10: how many there are is not looked up before
JUDGED = 12  # graphs whose validation samples INT8 answers to find the layers that stay float
FINAL_ROUNDS = 8  # until the verdicts are decided
MARGIN = 1.1  # by which a training may take longer than a few of its steps told

_Place = tuple[str, str, bool]  # an engine, a precision, whether it rounds to 8 bits


class Costs:
    """How long candidates may take, by what the phases so far took on this machine.

    What was in the cache says nothing by how long it took to be found, but by how long it had taken
    to be made, where that is kept with it. Candidates are measured in so many `rounds`.
    """

    def __init__(self, reference: Cell, rounds: int, rows: Iterable[Row]) -> None:
        self._reference, self._rounds = reference, rounds
        self._passes = {row.name: row.use for row in rows if hears_clock(row)}
        self._spent_s: dict[tuple[_Place, str], float] = {}
        self._pass_s: dict[str, float] = {}

    def learn(self, header: Header, lines: Iterable[Line]) -> None:
        """Take in what the jobs of a phase took; what took longest counts.

        The final run is another matter: it asks other samples, for as many rounds as it needs.
        """
        if header.suite.evaluate.split == "test":
            return
        recipes = {recipe.name: recipe for recipe in header.suite.recipes}
        cells = {cell.id: cell for cell in header.cells}
        spent_s: dict[tuple[str, str], float] = {}
        for line in (one for one in lines if one.status == "ok"):
            recipe = recipes[cells[line.cell].recipe]
            if line.job == "prepare":
                self._learn_pass(recipe, line.made_s)
            if line.job == "prepare" and judges(recipe.passes):
                continue  # which is no build as others are
            seconds = _worked_s(line)
            if seconds is not None:
                spent_s[line.cell, line.job] = spent_s.get((line.cell, line.job), 0.0) + seconds
        for (cell, job), seconds in spent_s.items():
            place = _place(cells[cell], recipes[cells[cell].recipe])
            self._spent_s[place, job] = max(seconds, self._spent_s.get((place, job), 0.0))

    def _learn_pass(self, recipe: ResolvedRecipe, seconds: float) -> None:
        first = recipe.passes[0] if recipe.passes else None
        if first is not None and seconds > 0.0 and "finetune" not in first.fields:
            self._pass_s[first.use] = max(seconds, self._pass_s.get(first.use, 0.0))

    def trials_s(
        self, trials: Sequence[Trial], *, evaluate: bool, fitted: Collection[str] = ()
    ) -> float:
        """Return the seconds that a phase of these trials may take, without trainings.

        The passes of the rows in `fitted` are in the cache.
        """
        asked = (one.row for one in trials if one.row in self._passes)
        rows = dict.fromkeys(row for row in asked if row not in fitted)
        passes_s = sum(self._pass_s.get(self._passes[row], PASS_S) for row in rows)
        ways_s = sum(self._way_s(one.way, evaluate=evaluate) for one in trials)
        return passes_s + ways_s + self._way_s(self._plain, evaluate=evaluate)

    def final_s(self, ways: Iterable[Way]) -> float:
        """Return the seconds that the final run of candidates in these ways may take."""
        return sum(
            self._job_s(way, "prepare", BUILD_S) / 2.0
            + self._job_s(way, "evaluate", EVALUATE_S) * TEST_OVER_VALIDATION
            + self._job_s(way, "inspect", 0.0)
            + self._job_s(way, "measure", 0.0) * FINAL_ROUNDS / self._rounds
            for way in (self._plain, *ways)
        )

    @property
    def _plain(self) -> Way:
        return Way(self._reference.runtime, self._reference.precision)

    def _way_s(self, way: Way, *, evaluate: bool) -> float:
        answered = int(evaluate) + (JUDGED if way.judges else 0)
        answers_s = answered * self._job_s(way, "evaluate", EVALUATE_S) if answered else 0.0
        timed_s = self._job_s(way, "measure", 0.0) + self._job_s(way, "inspect", 0.0)
        return self._job_s(way, "prepare", BUILD_S) + answers_s + timed_s

    def _job_s(self, way: Way, job: str, guess_s: float) -> float:
        """Return what such a job took in this way, in another one of its engine, or else a guess.

        What is not known of an engine at all is taken from the reference.
        """
        places = (
            (way.runtime, way.precision, way.rounds),
            (way.runtime, way.precision, False),
            (self._reference.runtime, self._reference.precision, False),
        )
        known = (self._spent_s.get((place, job)) for place in places)
        return next((seconds for seconds in known if seconds is not None), guess_s)


def _place(cell: Cell, recipe: ResolvedRecipe) -> _Place:
    return cell.runtime, cell.precision, any(one.use == "int8" for one in recipe.passes)


def _worked_s(line: Line) -> float | None:
    """Return how long was worked for a line, but for fitting; None if it was in the cache."""
    if line.job == "evaluate" and line.made_s > 0.0:
        return line.made_s
    if line.cached:
        return None
    return max(0.0, line.duration_s - line.made_s) if line.job == "prepare" else line.duration_s


def fitting(
    trials: Sequence[Trial],
    left_s: float,
    costs: Costs,
    *,
    evaluate: bool,
    fitted: Collection[str] = (),
) -> tuple[Trial, ...]:
    """Return those of the trials that fit into the time that is left, the first ones first.

    The passes of the rows in `fitted` are in the cache.
    """
    chosen: tuple[Trial, ...] = ()
    for one in trials:
        if costs.trials_s((*chosen, one), evaluate=evaluate, fitted=fitted) <= left_s:
            chosen = (*chosen, one)
    return chosen
