"""The final run of a search: the test samples are answered once, by what is reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.optimum import Goal, Tested
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Record
from perfsuite.domain.suite import Budget, Evaluate, Measure, ResolvedSuite
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import exit_code, judge, metrics
from perfsuite.report.words import number
from perfsuite.runner.keeping import keep_artifacts
from perfsuite.search.scores import Score
from perfsuite.search.search import GRACE, Search
from perfsuite.store.runs import load_run

FINAL = "5-final"
CANNOT_JUDGE = 3
_LEAST_MINUTES = 2.0  # of measuring, also where the time is up: without it nothing is proven


class FinalPlan(msgspec.Struct, frozen=True):
    """The suite of the final run and its cells: the reference, the best, and the Pareto front."""

    suite: ResolvedSuite
    cells: tuple[Cell, ...]


class Final(NamedTuple):
    """What came of the final run: the verdicts on the best cell, and what all cells did."""

    verdicts: tuple[Verdict, ...] = ()
    exit_code: int = CANNOT_JUDGE
    tested: dict[str, Tested] = {}  # noqa: RUF012 - by the keys of cells
    accuracy: float | None = None  # of the reference


def judged(search: Search, best: Score, others: Sequence[Score]) -> Final:
    """Run the best candidate and the others beside the reference on the test samples; judge it.

    What was built is kept in the run's folder, so that it can be shipped.
    """
    plan = search.decisions.once(FINAL, FinalPlan, lambda: _planned(search, best, others))
    folder = search.phases.folder / FINAL
    metric = search.survey.metric
    if search.decisions.knows(f"{FINAL}: done"):
        run = load_run(folder)
    else:
        words = "the best and the Pareto front on the test samples, once"
        limit = search.deadline(_left_s(search, plan), best.cell)
        run = search.phases.run(
            FINAL, words, plan.suite, plan.cells, evaluate=bool(metric), deadline=limit
        )
        keep_artifacts(folder, run, search.phases.note)  # its warnings are about baselines
        search.decisions.once(f"{FINAL}: done", bool, lambda: True)
    search.note_warnings(FINAL)
    verdicts = tuple(one for one in judge(run).verdicts if one.cell == best.cell.key)
    code = exit_code(verdicts)
    if code == 0 and (not metric or not verdicts):
        code = CANNOT_JUDGE  # without labelled samples nothing is known of the loss
    reference = run.records[search.reference.id]
    tested = {
        cell.key: _tested(reference, run.records[cell.id])
        for cell in plan.cells
        if cell != search.reference
    }
    accuracy = reference.accuracy.value if reference.accuracy is not None else None
    return Final(verdicts, code, tested, accuracy)


def _planned(search: Search, best: Score, others: Sequence[Score]) -> FinalPlan:
    chosen = _in_time(search, best, others)
    recipes = dict.fromkeys([FP32.name, *(one.recipe.name for one in chosen)])
    named = {FP32.name: FP32} | {one.recipe.name: one.recipe for one in chosen}
    precisions = [search.reference.precision, *(one.cell.precision for one in chosen)]
    looks = Looks()
    suite = msgspec.structs.replace(
        search.suite,
        recipes=tuple(named[name] for name in recipes),
        precision=tuple(dict.fromkeys(precisions)),
        processes=looks.most,
        looks=looks,
        minutes=max(_LEAST_MINUTES, search.left_s() / 60.0),
        measure=Measure(),
        evaluate=Evaluate(),
        budgets=_budgets(search.goal, best.cell, search.reference, search.survey.metric),
    )
    return FinalPlan(suite, (search.reference, *(one.cell for one in chosen)))


def _left_s(search: Search, plan: FinalPlan) -> float:
    """Return the seconds after which what is beside the best is not answered any more."""
    measuring_s = 60.0 * (plan.suite.minutes or 0.0)
    return 60.0 * (1.0 + GRACE) * search.goal.minutes - search.spent_s - measuring_s


def _in_time(search: Search, best: Score, others: Sequence[Score]) -> list[Score]:
    """Return the best, and as many of the others as there is time for, the fastest first."""
    left_s = search.goal.minutes * 60.0 - search.spent_s
    chosen = [best]
    for one in others:
        if one.cell == best.cell:
            continue
        if search.costs.final_s(each.way for each in (*chosen, one)) <= left_s:
            chosen.append(one)
    return chosen


def _budgets(goal: Goal, best: Cell, reference: Cell, metric: str) -> tuple[Budget, ...]:
    fast = Budget(
        f"{number(goal.speedup)}x as fast as {goal.versus}",
        LATENCY,
        best.key,
        reference.key,
        min_speedup=goal.speedup,
    )
    if not metric:
        return (fast,)
    points = number(goal.max_drop_points)
    accurate = Budget(
        f"at most {points} point{'s' * (points != '1')} of {metric} lost",
        metric,
        best.key,
        reference.key,
        max_drop_points=goal.max_drop_points,
    )
    return fast, accurate


def _tested(reference: Record, record: Record) -> Tested:
    if record.status != "ok":
        return Tested()
    return Tested(
        speedup=metrics.ratio(reference, record, LATENCY, "median"),
        loss_points=metrics.known_loss(reference, record),
        accuracy=record.accuracy.value if record.accuracy is not None else None,
        latency_s=metrics.typical_latency(record),
    )
