"""Verdicts on cells by the limits of budgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from perfsuite.config import match
from perfsuite.config.budget_rules import ABSOLUTE, RELATIVE
from perfsuite.config.references import referred, whole_matches
from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import MACS, known_metrics
from perfsuite.domain.record import Record, Run
from perfsuite.domain.suite import Budget, Limit
from perfsuite.domain.verdict import (
    Interval,
    Reason,
    ReasonKind,
    Verdict,
    VerdictStatus,
)
from perfsuite.errors import Incomparable
from perfsuite.judge import metrics
from perfsuite.judge.believed import believed_verdict
from perfsuite.judge.comparability import MeasuredChange, change
from perfsuite.judge.decisions import decide
from perfsuite.judge.realised import realised
from perfsuite.judge.references import other_threads
from perfsuite.judge.status import expectation, trouble, without_breakdown

_LEAST: frozenset[Limit] = frozenset({"min_speedup", "min_realised", "min"})  # least values


class _CannotTell(Exception):
    """There is no estimate; becomes a verdict of the given status."""

    def __init__(self, status: VerdictStatus, reason: Reason) -> None:
        super().__init__(reason.kind)
        self.status, self.reason = status, reason


class _Reference(NamedTuple):
    """The reference of a value: the cell `key` of the same run, or the cell of the baseline."""

    key: str  # or "baseline"; empty where the limit is absolute
    cell: Cell | None  # of the same run
    baseline: Run | None
    reason: Reason | None = None  # why there is none


def budget_verdicts(run: Run, baseline: Run | None) -> list[Verdict]:
    """Return the verdicts of all budgets, in the suite's order, then in that of the cells."""
    return [
        verdict
        for budget in run.header.suite.budgets
        for verdict in _verdicts(budget, run, baseline)
    ]


def _verdicts(budget: Budget, run: Run, baseline: Run | None) -> list[Verdict]:
    matching = [cell for cell in run.header.cells if match(budget.cell, cell.key)]
    try:
        references = _references(budget, matching, run, baseline)
    except _CannotTell as error:
        return [_unjudged(budget, budget.cell, error.reason)]
    # A glob may match the reference itself, which is not judged.
    cells = [cell for cell in matching if cell != references[cell].cell] or matching
    judged = [cell for cell in cells if expectation(run, cell) is None]
    if not judged:
        reason = Reason("none_to_run") if cells else Reason("no_cell", text=budget.cell)
        return [_unjudged(budget, budget.cell, reason)]
    return [
        believed_verdict(
            run,
            cell,
            metrics.subject(budget),
            partial(_verdict, budget, cell, reference=references[cell]),
        )
        if budget.baseline
        else _verdict(budget, cell, run, references[cell])
        for cell in judged
    ]


def _references(
    budget: Budget, matching: Sequence[Cell], run: Run, baseline: Run | None
) -> dict[Cell, _Reference]:
    """Return the reference of each matching cell; raise if the budget has one for all, and not."""
    if budget.baseline:
        if baseline is None:
            raise _CannotTell("missing", Reason("no_baseline"))
        return dict.fromkeys(matching, _Reference("baseline", None, baseline))
    if budget.against is None:
        return dict.fromkeys(matching, _Reference("", None, None))
    cells = run.header.cells
    whole = whole_matches(budget.against, cells)
    found = {cell: whole or referred(budget.against, cell, cells) for cell in matching}
    if len(whole) != 1 and (whole or not any(found.values())):
        raise _CannotTell("missing", _not_one(budget.against, whole))
    return {
        cell: _Reference(others[0].key, others[0], None)
        if len(others) == 1
        else _Reference("", None, None, _not_one(budget.against, others))
        for cell, others in found.items()
    }


def _not_one(against: str, others: Sequence[Cell]) -> Reason:
    return Reason("not_one_reference", names=tuple(cell.key for cell in others), text=against)


def _verdict(budget: Budget, cell: Cell, run: Run, reference: _Reference) -> Verdict:
    check = _limit(budget)
    limit: float = getattr(budget, check)
    known = known_metrics(run.header.metrics).get(budget.metric)
    estimate: Interval | None = None
    reason: Reason | None = None
    uncounted: tuple[str, ...] = ()
    found = MeasuredChange(None)
    try:
        if reference.reason is not None:
            raise _CannotTell("missing", reference.reason)
        estimate, sure, found = _estimate(budget, cell, run, reference)
    except _CannotTell as error:
        status, reason = error.status, error.reason
    else:
        uncounted = metrics.uncounted(run.records[cell.id], budget.metric)
        whole = msgspec.structs.replace(estimate, high=math.inf) if uncounted else estimate
        at_least = check in _LEAST
        status = decide(whole, limit, at_least=at_least)
        # Between two stored runs only what the wider interval says is believed to be broken.
        if status == "over_budget" and sure is not None:
            status = decide(sure, limit, at_least=at_least)
    verdict = Verdict(
        status,
        budget.name,
        cell.key,
        budget.metric,
        check,
        against=reference.key,
        limit=limit,
        estimate=estimate,
        unit=known.unit if known else "",
        statistic=budget.statistic,
        stage=budget.stage or "",
        reason=reason,
        uncounted=uncounted,
    )
    return found.tell(verdict)


def _unjudged(budget: Budget, cell: str, reason: Reason) -> Verdict:
    check = _limit(budget)
    return Verdict("missing", budget.name, cell, budget.metric, check, reason=reason)


def _limit(budget: Budget) -> Limit:
    """Return the name of the one limit that the budget sets."""
    return next(name for name in (*RELATIVE, *ABSOLUTE) if getattr(budget, name) is not None)


class _Estimate(NamedTuple):
    """An estimate in the limit's own terms; of a change since the baseline, how it was found."""

    interval: Interval
    sure: Interval | None = None  # wider, where two stored runs are compared
    change: MeasuredChange = MeasuredChange(None)


def _estimate(budget: Budget, cell: Cell, run: Run, reference: _Reference) -> _Estimate:
    metric = metrics.subject(budget)
    record = _record(run, cell, budget, "")
    if "simulated" in record.labels and metrics.is_machine_bound(record, metric):
        raise _CannotTell("incomparable", Reason("simulated"))
    if budget.max_drop_points is not None:
        return _Estimate(_loss(budget, cell, record, run, reference))
    if budget.min_speedup is not None:
        return _in_terms(_inverse, _ratio(budget, cell, record, run, reference))
    if budget.min_realised is not None:
        return _Estimate(_realised(budget, cell, record, run, reference))
    if budget.max_increase is not None:
        return _in_terms(_increase, _ratio(budget, cell, record, run, reference))
    interval = metrics.level(record, metric, budget.statistic)
    return _Estimate(_known(interval, record, metric))


def _in_terms(convert: Callable[[Interval], Interval], found: _Estimate) -> _Estimate:
    sure = None if found.sure is None else convert(found.sure)
    return found._replace(interval=convert(found.interval), sure=sure)


def _loss(budget: Budget, cell: Cell, record: Record, run: Run, reference: _Reference) -> Interval:
    other = _reference_record(budget, cell, run, reference)
    if record.accuracy_by(budget.metric) is None or other.accuracy_by(budget.metric) is None:
        raise _CannotTell("incomparable", Reason("not_an_accuracy", names=(budget.metric,)))
    try:
        return _known(metrics.loss(other, record, budget.metric), record, budget.metric)
    except Incomparable as error:
        raise _CannotTell("incomparable", Reason("other_samples", text=str(error))) from error


def _realised(
    budget: Budget, cell: Cell, record: Record, run: Run, reference: _Reference
) -> Interval:
    speedup = _inverse(_ratio(budget, cell, record, run, reference).interval)
    other = _reference_record(budget, cell, run, reference)
    for one, whose in ((record, ""), (other, reference.key)):
        if not metrics.has(one, MACS):
            raise _CannotTell("missing", Reason("no_metric", whose, names=(MACS,)))
        _require_all_counted(one, MACS, whose)
    found = realised(speedup, metrics.counted_ratio(other, record, MACS))
    if found is None:
        raise _CannotTell("incomparable", Reason("no_fewer_macs", reference.key))
    return found


def _ratio(
    budget: Budget, cell: Cell, record: Record, run: Run, reference: _Reference
) -> _Estimate:
    if metrics.is_accuracy(record, budget.metric):
        raise _CannotTell("incomparable", Reason("an_accuracy", names=(budget.metric,)))
    other = _reference_record(budget, cell, run, reference)
    metric = metrics.subject(budget)
    for one, whose in ((record, ""), (other, reference.key)):
        _require_all_counted(one, metric, whose)
    if reference.baseline is None:
        ratio = metrics.ratio(record, other, metric, budget.statistic)
        if ratio is None and metrics.has_zeros(metric, record, other):
            raise _CannotTell("inconclusive", Reason("zeros", names=(metric,)))
        return _Estimate(_known(ratio, record, metric))
    changed = change(cell, run, reference.baseline, metric, budget.statistic)
    if changed.reason is not None:
        raise _CannotTell(changed.status, changed.reason)
    return _Estimate(_known(changed.ratio, record, metric), changed.sure, changed)


def _require_all_counted(record: Record, metric: str, whose: str) -> None:
    """Raise where only a part was counted: a ratio of parts says nothing of that of the wholes."""
    if names := metrics.uncounted(record, metric):
        raise _CannotTell("incomparable", Reason("uncounted", whose, names))


def _reference_record(budget: Budget, cell: Cell, run: Run, reference: _Reference) -> Record:
    if reference.baseline is not None:
        return _record(reference.baseline, cell, budget, reference.key)
    if reference.cell is None:
        raise _CannotTell("missing", Reason("no_reference"))
    return _record(run, reference.cell, budget, reference.key)


def _record(run: Run, cell: Cell, budget: Budget, whose: str) -> Record:
    """Return the cell's record; raise if it has no value of the budget's metric."""
    record = run.records.get(cell.id)
    if record is None:
        threads = other_threads(cell, run)
        if threads is None:
            raise _CannotTell("missing", Reason("not_run", whose))
        names = (str(cell.threads), str(threads))
        raise _CannotTell("missing", Reason("other_threads", names=names))
    reason = trouble(record, whose) or _lack(record, budget, whose)
    if reason is not None:
        raise _CannotTell("missing", reason)
    return record


def _lack(record: Record, budget: Budget, whose: str) -> Reason | None:
    if metrics.has(record, metrics.subject(budget)):
        return None
    if budget.stage is None:
        return Reason("no_metric", whose, names=(budget.metric,))
    if record.breakdown is None:
        return without_breakdown(record, whose)
    stages = (row.name for row in record.breakdown.rows)
    return Reason("no_stage", whose, names=(budget.stage, *stages))


def _known(interval: Interval | None, record: Record, metric: str) -> Interval:
    if interval is not None:
        return interval
    accuracy = metrics.is_accuracy(record, metric)
    kind: ReasonKind = "not_a_number" if accuracy else "too_few_processes"
    if metrics.has_zeros(metric, record):
        kind = "zeros"
    raise _CannotTell("inconclusive", Reason(kind, names=(metric,)))


def _inverse(ratio: Interval) -> Interval:
    value, low, high = (
        1.0 / one if one > 0.0 else math.inf for one in (ratio.value, ratio.high, ratio.low)
    )
    return Interval(value, low, high)


def _increase(ratio: Interval) -> Interval:
    return Interval(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0)
