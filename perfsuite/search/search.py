"""A search: what is tried next, from what was found, until the target is met or the time is up."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from perfsuite.config.optimize_suite import reference_cell
from perfsuite.domain.cell import Cell
from perfsuite.domain.optimum import Goal
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.record import Record, Run
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.domain.survey import Survey
from perfsuite.domain.verdict import Interval
from perfsuite.errors import PerfsuiteError
from perfsuite.measure.environment import usable_threads
from perfsuite.runner.deadline import Deadline
from perfsuite.search import rules
from perfsuite.search.candidates import Row, hears_clock, module_pass, recipe, rows
from perfsuite.search.costs import Costs, fitting
from perfsuite.search.decisions import Decisions
from perfsuite.search.phases import Phases
from perfsuite.search.plans import Asked, Left, PhasePlan, phase_plan
from perfsuite.search.scores import Estimate, Score, score
from perfsuite.search.trainings import Trainings
from perfsuite.search.untrained import Untrained
from perfsuite.search.ways import Way, ways
from perfsuite.store.journal import read
from perfsuite.store.runs import load_run

ENGINES, READY, RECIPES, SPEEDS = "1-engines", "2-ready", "2-recipes", "3-speeds"
GRACE = 0.1  # of the minutes: what goes on is cut off so much later than nothing new begins

_NO_MODULE = "it changes a torch module, and this workload is an ONNX file"


class Search:
    """Works off the phases of a search; what it has found is in its attributes.

    `scores` are of candidates that are ready, in the order of the table; `timed` of those that were
    timed and would have to be trained; `left` are those of the `rows` that were not tried or
    trained, and `dropped` other recipes that there was no time for, by name. `records` hold all
    that was measured, and `reference_record` the reference of the first phase; `warnings` are those
    of all phases. Passes choose by the times of the engine `clock`, a reference. `known` tells
    whether something of the net was in the cache before.
    """

    costs: Costs
    reference_record: Record
    clock: str
    known: bool

    def __init__(
        self, suite: ResolvedSuite, goal: Goal, decisions: Decisions, phases: Phases
    ) -> None:
        self.suite, self.goal = suite, goal
        self.decisions, self.phases = decisions, phases
        threads = decisions.once("threads", int, lambda: suite.threads or usable_threads())
        self.reference = reference_cell(suite, goal, threads)
        self.rows: list[Row] = []
        self._begun_s, self._before_s = time.monotonic(), phases.spent_s()
        self.survey = Survey()
        self.scores: list[Score] = []
        self.timed: list[Score] = []
        self.left: dict[str, Left] = {}
        self.dropped: dict[str, ResolvedRecipe] = {}
        self.records: list[Record] = []
        self.warnings: list[str] = []

    @property
    def spent_s(self) -> float:
        """Return how long the search has taken, in all sittings."""
        return self._before_s + time.monotonic() - self._begun_s

    @property
    def blind(self) -> bool:
        """Tell whether there are no samples to choose by."""
        return "validation" in self.survey.without

    @property
    def winner(self) -> Score | None:
        """Return the candidate that keeps both limits, if one was found so far."""
        return rules.winner(self.scores, self.goal, blind=self.blind)

    @property
    def engines(self) -> dict[str, str]:
        """Return the references of all engines by name."""
        return {name: self.suite.runtime(name) for name in self.suite.runtimes}

    def left_s(self) -> float:
        """Return the seconds that are left until the final run must begin."""
        fast = sorted(self.scores, key=lambda one: -(one.speedup.value if one.speedup else 0.0))
        reserved_s = self.costs.final_s(one.way for one in fast[:2])
        return self.goal.minutes * 60.0 - self.spent_s - reserved_s

    def latest_s(self) -> float:
        """Return the seconds after which what is going on is cut off, before the final run."""
        return self.left_s() + GRACE * 60.0 * self.goal.minutes

    def deadline(self, left_s: float, *spared: Cell) -> Deadline:
        """Return when a phase is to leave off that may take so long; the reference is spared."""
        ids = {self.reference.id, *(cell.id for cell in spared)}
        return Deadline(time.monotonic() + left_s, frozenset(ids))

    def work(self) -> None:
        """Try candidates, those that cost least first, until one meets the target."""
        self.survey = self.decisions.once("survey", Survey, self._surveyed)
        self.rows = rows(self.reference.workload, self.survey)
        self._try_engines()
        if self.winner is None:
            self._try_recipes()
        if self.winner is None and not self.survey.is_file:
            self._train()
        tried = {one.row for one in (*self.scores, *self.timed)}
        for row in self.rows:
            if row.name not in tried:
                self.left.setdefault(row.name, self._why_left())

    def _surveyed(self) -> Survey:
        words = "what the workload has for a search"
        return self.phases.survey(words, self.suite, self.reference, {})

    def _why_left(self) -> Left:
        if self.survey.is_file:
            return Left("lacks", _NO_MODULE)
        if self.winner is not None:
            return Left("target_met")
        return Left("no_time")

    def worthwhile(self) -> list[Way]:
        """Return the ways in which more is tried, by what is known of the net as it is.

        That of the reference is one of them: an engine may be the only one, or the fastest that
        loses nothing.
        """
        same, none = (Estimate(Interval(one, one, one), one, one) for one in (1.0, 0.0))
        way = Way(self.reference.runtime, self.reference.precision)
        reference = Score(self.reference, FP32, "", way, speedup=same, loss=none)
        plain = [one for one in self.scores if not one.row]
        return rules.worthwhile([reference, *plain], self.goal)

    # -- what is tried ----------------------------------------------------------------------

    def _try_engines(self) -> None:
        """Measure the net as it is on all engines, in all precisions, and in INT8."""
        asked = [("", recipe(None, way), way) for way in ways(self.engines)]
        plan = self.decisions.once(ENGINES, PhasePlan, lambda: self.planned(asked))
        if self.survey.is_file and not plan.trials:
            raise PerfsuiteError(
                f"there is nothing to search for: {self.reference.runtime} is the reference, and "
                f"runs no other precision and no INT8, and no other pass changes an ONNX file; "
                f"name more engines by --runtime"
            )
        words = "the net as it is, on all engines, in all precisions, and in INT8"
        self.scores += self.found(ENGINES, words, plan)
        lines = read(self.phases.folder / ENGINES)[1]
        self.known = any(line.cached and line.job == "prepare" for line in lines)
        self.clock = self.suite.runtime(self.worthwhile()[0].runtime)

    def _try_recipes(self) -> None:
        """Try what trains nothing: what was trained before, and if that is not enough, the rest."""
        untrained = Untrained(self)
        for name, words, asked in (
            (READY, "recipes whose trainings are in the cache", untrained.ready),
            (RECIPES, "recipes that train nothing", untrained.others),
        ):
            if self.winner is None:
                plan = self._planned_in_time(name, asked(), evaluate=True)
                self.scores += self.found(name, words, plan)

    def _train(self) -> None:
        """Time what would have to be trained, then train what may meet the target, in turn."""
        trained = [row for row in self.rows if row.schedule is not None]
        if lacks := self.survey.without.get("training"):
            self.left |= {row.name: Left("lacks", lacks) for row in trained}
            return
        # What the net as it is was tried in meanwhile is a way like others. All are in one
        # precision, because a pass that hears an engine's clock makes another net in each.
        able = self.worthwhile()
        chosen = [way for way in able if way.precision == able[0].precision]
        asked = [(row.name, recipe(row, way, self.clock), way) for row in trained for way in chosen]
        plan = self._planned_in_time(SPEEDS, asked, evaluate=False)
        words = "how fast nets would be that are to be trained"
        self.timed = self.found(SPEEDS, words, plan)
        trainings = Trainings(self)
        for number, training in enumerate(trainings.decided(), start=1):
            if self.winner is not None:
                self.left[training.row] = Left("target_met")
            else:
                self.scores += trainings.run(number, training)

    def asked(
        self,
        row: Row,
        way: Way,
        plan: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> Survey:
        """Return what a survey finds of a row's net, as it is before any pass on its graph.

        With a plan of a `training` it is how long that takes, else whether its fit is in the cache.
        """
        one = ResolvedRecipe(row.name, (module_pass(row, self.clock, plan),))
        suite = msgspec.structs.replace(self.suite, recipes=(FP32, one))
        cell = msgspec.structs.replace(
            self.reference, recipe=one.name, runtime=way.runtime, precision=way.precision
        )
        words = f"{row.name}: {'how long its training takes' if training else 'is it in the cache'}"
        return self.phases.survey(words, suite, cell, dict(training or {}))

    # -- a phase ----------------------------------------------------------------------------

    def planned(self, asked: Sequence[Asked], *, evaluate: bool = True) -> PhasePlan:
        """Return the plan of a phase that tries all that is asked."""
        judged = evaluate and not self.blind
        return phase_plan(self.suite, self.reference, asked, evaluate=judged)

    def _planned_in_time(self, name: str, asked: Sequence[Asked], *, evaluate: bool) -> PhasePlan:
        """Return the plan of a phase with the trials that there is time for, the first ones first.

        The search notes the rows of which none is among them, and what else was dropped.
        """

        def decide() -> PhasePlan:
            plan = self.planned(asked, evaluate=evaluate)
            fitted = self._fitted(asked)
            trials = fitting(
                plan.trials, self.left_s(), self.costs, evaluate=plan.evaluate, fitted=fitted
            )
            return msgspec.structs.replace(plan, trials=trials)

        plan = self.decisions.once(name, PhasePlan, decide)
        rows, recipes = ({one.row for one in plan.trials}, {one.cell.recipe for one in plan.trials})
        self.left |= {row: Left("no_time") for row, _, _ in asked if row and row not in rows}
        plain = [recipe for row, recipe, _ in asked if not row]
        self.dropped |= {one.name: one for one in plain if one.name not in recipes}
        return plan

    def _fitted(self, asked: Sequence[Asked]) -> list[str]:
        """Return the rows that hear an engine's clock whose passes are in the cache already.

        A net that was not in the cache itself has none there, so that nobody need be asked.
        """
        if not self.known:
            return []
        ways = {row: way for row, _, way in asked}
        rows = [row for row in self.rows if row.name in ways and hears_clock(row)]
        return [row.name for row in rows if self._is_fitted(row, ways[row.name])]

    def _is_fitted(self, row: Row, way: Way) -> bool:
        try:
            return self.asked(row, way).trained
        except PerfsuiteError:  # which its cells will tell
            return False

    def found(self, name: str, words: str, plan: PhasePlan) -> list[Score]:
        """Return the scores of a phase, which is run unless it was already.

        Raises `PerfsuiteError` if the reference did not end well: nothing can be compared then.
        The first phase is done whatever it takes, and each other one leaves off in time.
        """
        first = name == ENGINES
        if not plan.trials and not first:
            return []
        done = f"{name}: done"
        if self.decisions.knows(done):
            run = load_run(self.phases.folder / name)
        else:
            cells = [self.reference, *(one.cell for one in plan.trials)]
            limit = None if first else self.deadline(self.latest_s())
            run = self.phases.run(
                name, words, plan.suite, cells, evaluate=plan.evaluate, deadline=limit
            )
        self._check_reference(run)
        self.note_warnings(name)
        self.decisions.once(done, bool, lambda: True)
        self.costs = self._costs()
        if first:
            self.reference_record = run.records[self.reference.id]
        self.records += [run.records[one.cell.id] for one in plan.trials]
        return [
            score(run, self.reference, one.cell, one.row, one.way, evaluated=plan.evaluate)
            for one in plan.trials
        ]

    def note_warnings(self, name: str) -> None:
        """Add the warnings of a phase to those of the search, also of one of an earlier sitting."""
        found = self.phases.warnings.get(name, [])
        self.warnings += self.decisions.once(f"{name}: warnings", list[str], lambda: found)

    def _costs(self) -> Costs:
        found = Costs(self.reference, self.suite.processes, self.rows)
        for header, lines in self.phases.journals():
            found.learn(header, lines)
        return found

    def _check_reference(self, run: Run) -> None:
        record = run.records[self.reference.id]
        if record.status != "ok":
            said = record.error.message if record.error else record.status
            raise PerfsuiteError(
                f"{self.reference.key}: the reference of this search did not end well: {said}"
            )
