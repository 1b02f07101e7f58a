"""Budgets: limits held against cells."""

from __future__ import annotations

from typing import NamedTuple

from perfsuite.config import match
from perfsuite.config.budget_rules import ABSOLUTE, RELATIVE
from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import known_metrics
from perfsuite.domain.record import Record, Run
from perfsuite.domain.suite import Budget
from perfsuite.domain.verdict import Interval, Verdict, VerdictStatus
from perfsuite.errors import Incomparable
from perfsuite.judge import metrics
from perfsuite.judge.comparability import change
from perfsuite.judge.realised import realised
from perfsuite.judge.sentences import sentence
from perfsuite.judge.status import expectation, trouble, without_breakdown

# Limits are decimal, logarithms binary: what differs by less than this is equal.
SLACK = 1e-9


class _CannotTell(Exception):
    """There is no estimate; becomes a verdict of the given status."""

    def __init__(self, status: VerdictStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class _Reference(NamedTuple):
    """What a value is held against: `name` in words, and where it is."""

    name: str
    key: str
    cell: Cell | None  # of the same run
    baseline: Run | None


def budget_verdicts(run: Run, baseline: Run | None) -> list[Verdict]:
    """Return the verdicts of all budgets, in the suite's order, then in that of the cells."""
    return [
        verdict
        for budget in run.header.suite.budgets
        for verdict in _verdicts(budget, run, baseline)
    ]


def _verdicts(budget: Budget, run: Run, baseline: Run | None) -> list[Verdict]:
    try:
        reference = _reference(budget, run, baseline)
    except _CannotTell as error:
        return [Verdict(error.status, budget.name, budget.cell, budget.metric, str(error))]
    matching = [cell for cell in run.header.cells if match(budget.cell, cell.key)]
    # A glob may take in the reference, which is not meant to beat itself.
    cells = [cell for cell in matching if cell != reference.cell] or matching
    judged = [cell for cell in cells if expectation(run, cell) is None]
    if not judged:
        why = f"no cell matches '{budget.cell}'" if not cells else "no matching cell was to run"
        return [Verdict("missing", budget.name, budget.cell, budget.metric, why)]
    return [_verdict(budget, cell, run, reference) for cell in judged]


def _reference(budget: Budget, run: Run, baseline: Run | None) -> _Reference:
    if budget.baseline:
        if baseline is None:
            raise _CannotTell("missing", "needs a baseline run: give one with --baseline")
        return _Reference("the baseline", "baseline", None, baseline)
    if budget.against is None:
        return _Reference("", "", None, None)
    found = [cell for cell in run.header.cells if match(budget.against, cell.key)]
    if len(found) != 1:
        keys = ": " + ", ".join(cell.key for cell in found[:3]) if found else ""
        raise _CannotTell(
            "missing",
            f"against = '{budget.against}' must match one cell of the run, not {len(found)}{keys}",
        )
    return _Reference(found[0].key, found[0].key, found[0], None)


def _verdict(budget: Budget, cell: Cell, run: Run, reference: _Reference) -> Verdict:
    limit = next(
        getattr(budget, name)
        for name in (*RELATIVE, *ABSOLUTE)
        if getattr(budget, name) is not None
    )
    estimate: Interval | None = None
    try:
        estimate, at_least = _estimate(budget, cell, run, reference)
    except _CannotTell as error:
        status, text = error.status, str(error)
    else:
        status = decide(estimate, limit, at_least=at_least)
        known = known_metrics(run.header.metrics).get(budget.metric)
        text = sentence(budget, estimate, reference.name, status, known)
    return Verdict(
        status, budget.name, cell.key, budget.metric, text, reference.key, limit, estimate
    )


def decide(estimate: Interval, limit: float, *, at_least: bool) -> VerdictStatus:
    """Return `pass` if the interval's bad end is inside, `over_budget` if its good end is outside.

    Between the two it is `inconclusive`. A limit `at_least` is held from below.
    """
    slack = SLACK * max(1.0, abs(limit))
    bad, good = estimate.high - limit, estimate.low - limit
    if at_least:
        bad, good = limit - estimate.low, limit - estimate.high
    if bad <= slack:
        return "pass"
    return "over_budget" if good > slack else "inconclusive"


def _estimate(budget: Budget, cell: Cell, run: Run, reference: _Reference) -> tuple[Interval, bool]:
    """Return the estimate in the limit's own terms, and whether the limit is a least value."""
    metric = metrics.subject(budget)
    record = _record(run, cell, budget, "")
    if "simulated" in record.labels and metrics.is_machine_bound(record, metric):
        raise _CannotTell("incomparable", "is only simulated: its time is not that of real kernels")
    if budget.max_drop_points is not None:
        return _loss(budget, cell, record, run, reference), False
    if budget.min_speedup is not None:
        ratio = _ratio(budget, cell, record, run, reference)
        return _inverse(ratio), True
    if budget.min_realised is not None:
        return _realised(budget, cell, record, run, reference), True
    if budget.max_increase is not None:
        ratio = _ratio(budget, cell, record, run, reference)
        return Interval(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0), False
    interval = metrics.level(record, metric, budget.statistic)
    return _known(interval, record, metric), budget.min is not None


def _loss(budget: Budget, cell: Cell, record: Record, run: Run, reference: _Reference) -> Interval:
    other = _reference_record(budget, cell, run, reference)
    if record.accuracy_by(budget.metric) is None or other.accuracy_by(budget.metric) is None:
        raise _CannotTell("incomparable", f"{budget.metric} is no accuracy: points are not lost")
    try:
        return _known(metrics.loss(other, record, budget.metric), record, budget.metric)
    except Incomparable as error:
        raise _CannotTell("incomparable", str(error)) from error


def _realised(
    budget: Budget, cell: Cell, record: Record, run: Run, reference: _Reference
) -> Interval:
    speedup = _inverse(_ratio(budget, cell, record, run, reference))
    other = _reference_record(budget, cell, run, reference)
    for one, who in ((record, ""), (other, f"{reference.name} ")):
        if not metrics.has(one, "macs"):
            raise _CannotTell("missing", f"{who}has no macs")
    found = realised(speedup, metrics.counted_ratio(other, record, "macs"))
    if found is None:
        raise _CannotTell(
            "incomparable",
            f"has no fewer MACs than {reference.name}: no theoretical speed-up to hold it to",
        )
    return found


def _ratio(budget: Budget, cell: Cell, record: Record, run: Run, reference: _Reference) -> Interval:
    if metrics.is_accuracy(record, budget.metric):
        raise _CannotTell("incomparable", f"{budget.metric} is an accuracy: limit max_drop_points")
    other = _reference_record(budget, cell, run, reference)
    metric = metrics.subject(budget)
    if reference.baseline is None:
        return _known(metrics.ratio(record, other, metric, budget.statistic), record, metric)
    changed = change(cell, run, reference.baseline, metric, budget.statistic)
    if changed.ratio is None:
        raise _CannotTell("inconclusive" if changed.comparable else "incomparable", changed.why)
    return changed.ratio


def _reference_record(budget: Budget, cell: Cell, run: Run, reference: _Reference) -> Record:
    if reference.baseline is not None:
        return _record(reference.baseline, cell, budget, "in the baseline it ")
    if reference.cell is None:
        raise _CannotTell("missing", "needs `against` or `baseline = true`")
    return _record(run, reference.cell, budget, f"{reference.name} ")


def _record(run: Run, cell: Cell, budget: Budget, who: str) -> Record:
    record = run.records.get(cell.id)
    if record is None or record.status != "ok":
        raise _CannotTell("missing", f"{who}{trouble(record)}")
    if not metrics.has(record, metrics.subject(budget)):
        raise _CannotTell("missing", f"{who}{_lack(record, budget)}")
    return record


def _lack(record: Record, budget: Budget) -> str:
    if budget.stage is None:
        return f"has no {budget.metric}"
    if record.breakdown is None:
        return without_breakdown(record)
    stages = ", ".join(row.name for row in record.breakdown.rows)
    return f"has no stage '{budget.stage}'; its stages are {stages}"


def _known(interval: Interval | None, record: Record, metric: str) -> Interval:
    if interval is not None:
        return interval
    if metrics.is_accuracy(record, metric):
        raise _CannotTell("inconclusive", f"{metric} has no interval: it is not a number")
    raise _CannotTell(
        "inconclusive",
        f"{metric} has no interval: it needs at least 2 processes with valid samples",
    )


def _inverse(ratio: Interval) -> Interval:
    return Interval(1.0 / ratio.value, 1.0 / ratio.high, 1.0 / ratio.low)
