"""Regressions: metrics that became worse than in the baseline, judged without budgets.

A regression needs both an interval that excludes no change and reaches beyond a floor, because with
many cells the first alone is often true by chance, and the second by noise. What each interval says
is in `decisions`.
"""

from __future__ import annotations

from functools import partial

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY, METRICS, Metric, known_metrics
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Check, Interval, Reason, Verdict, VerdictStatus
from perfsuite.errors import Incomparable
from perfsuite.judge import metrics
from perfsuite.judge.believed import believed_verdict
from perfsuite.judge.comparability import change
from perfsuite.judge.decisions import change_verdict, loss_verdict, stored_verdict
from perfsuite.judge.references import is_cut_short, not_chosen, ok_cells, other_threads

ACCURACY_FLOOR = 0.1  # percentage points

_NAME: Check = "regression"


def regression_verdicts(run: Run, baseline: Run) -> list[Verdict]:
    """Return a verdict for each cell and metric that both runs have, and for each missing cell.

    A cell of which the baseline was cut short is missing there: it might have become worse.
    """
    before = {cell.id for cell in ok_cells(baseline)}
    found = [
        verdict
        for cell in ok_cells(run)
        if cell.id in before
        for verdict in _verdicts(cell, run, baseline)
    ]
    return [*found, *_cut_short(run, baseline), *_gone(run, baseline)]


def latency_verdict(cell: Cell, run: Run, baseline: Run) -> Verdict:
    """Return the verdict on the latency of a cell that both runs have, with ok records."""
    known = METRICS[LATENCY]
    return _measured(cell, run, baseline, known, known.floor or 0.0)


def _cut_short(run: Run, baseline: Run) -> list[Verdict]:
    reason = Reason("cut_short", "baseline")
    return [
        Verdict("missing", _NAME, cell.key, "status", _NAME, "baseline", reason=reason)
        for cell in ok_cells(run)
        if is_cut_short(baseline, cell)
    ]


def _gone(run: Run, baseline: Run) -> list[Verdict]:
    """Return a verdict for each cell of the baseline that the run has no longer.

    Those that were not chosen are none of them.
    """
    here = {cell.id for cell in run.header.cells} | set(not_chosen(run, baseline))
    return [
        Verdict(
            "missing", _NAME, cell.key, "status", _NAME, "baseline", reason=_why_gone(cell, run)
        )
        for cell in baseline.header.cells
        if cell.id not in here
    ]


def _why_gone(cell: Cell, run: Run) -> Reason:
    threads = other_threads(cell, run)
    if threads is None:
        return Reason("gone")
    return Reason("other_threads", names=(str(threads), str(cell.threads)))


def _verdicts(cell: Cell, run: Run, baseline: Run) -> list[Verdict]:
    now, before = run.records[cell.id], baseline.records[cell.id]
    verdicts = [
        _measured(cell, run, baseline, metric, metric.floor)
        if metrics.has(now, metric.name)
        else _lost(cell, metric.name)
        for metric in known_metrics((*baseline.header.metrics, *run.header.metrics)).values()
        if metric.floor is not None and metrics.has(before, metric.name)
    ]
    for known in before.accuracies:
        verdicts.append(
            _accuracy(cell, before, now, known.metric)
            if metrics.has(now, known.metric)
            else _lost(cell, known.metric)
        )
    return verdicts


def _lost(cell: Cell, metric: str) -> Verdict:
    reason = Reason("lost_metric", names=(metric,))
    return Verdict("missing", _NAME, cell.key, metric, _NAME, "baseline", reason=reason)


def _measured(cell: Cell, run: Run, baseline: Run, metric: Metric, floor: float) -> Verdict:
    once = partial(_once, cell, baseline=baseline, metric=metric, floor=floor)
    return believed_verdict(run, cell, metric.name, once)


def _once(cell: Cell, run: Run, baseline: Run, metric: Metric, floor: float) -> Verdict:
    """Return the verdict of one measurement: of the first rounds, or of those again."""
    found = change(cell, run, baseline, metric.name)
    status, estimate = found.status, None
    if found.ratio is not None:
        estimate = _share(found.ratio)
        worse = for_the_worse(estimate, metric)
        if found.sure is None:
            status = change_verdict(worse, floor)
        else:
            status = stored_verdict(worse, for_the_worse(_share(found.sure), metric), floor)
    verdict = Verdict(
        status,
        _NAME,
        cell.key,
        metric.name,
        _NAME,
        against="baseline",
        limit=floor,
        estimate=estimate,
        unit=metric.unit,
        reason=found.reason,
    )
    return found.tell(verdict)


def for_the_worse(share: Interval, metric: Metric) -> Interval:
    """Return a change as what became worse: less of a metric of which more is better."""
    return share if metric.better == "lower" else _negative(share)


def _share(ratio: Interval) -> Interval:
    return Interval(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0)


def _negative(one: Interval) -> Interval:
    return Interval(-one.value, -one.high, -one.low)


def _accuracy(cell: Cell, before: Record, now: Record, metric: str) -> Verdict:
    status: VerdictStatus = "inconclusive"
    reason: Reason | None = None
    try:
        estimate = metrics.loss(before, now, metric)
    except Incomparable as error:
        status, estimate = "incomparable", None
        reason = Reason("other_samples", text=str(error))
    else:
        if estimate is None:
            reason = Reason("not_a_number", names=(metric,))
        else:
            status = loss_verdict(estimate, ACCURACY_FLOOR)
    return Verdict(
        status,
        _NAME,
        cell.key,
        metric,
        _NAME,
        against="baseline",
        limit=ACCURACY_FLOOR,
        estimate=estimate,
        reason=reason,
    )
