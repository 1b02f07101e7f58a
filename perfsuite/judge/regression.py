"""Regressions: what became worse than in the baseline, with no budget needed.

It takes both an interval that excludes no change and an effect above a floor: with many cells the
first alone is often met by chance, the second alone by noise.
"""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY, Metric, known_metrics
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Interval, Verdict, VerdictStatus
from perfsuite.errors import Incomparable
from perfsuite.judge import metrics, words
from perfsuite.judge.budgets import SLACK
from perfsuite.judge.comparability import change
from perfsuite.judge.references import ok_cells
from perfsuite.judge.sentences import loss_words, more

ACCURACY_FLOOR = 0.1  # percentage points

_NAME = "regression"


def regression_verdicts(run: Run, baseline: Run) -> list[Verdict]:
    """Return one verdict a cell and metric that both runs have, and one for each cell gone."""
    before = {cell.id for cell in ok_cells(baseline)}
    found = [
        verdict
        for cell in ok_cells(run)
        if cell.id in before
        for verdict in _verdicts(cell, run, baseline)
    ]
    return found + _gone(run, baseline)


def _gone(run: Run, baseline: Run) -> list[Verdict]:
    here = {cell.id for cell in run.header.cells}
    return [
        Verdict("missing", _NAME, cell.key, "status", "is in the baseline but not here", "baseline")
        for cell in baseline.header.cells
        if cell.id not in here
    ]


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
    text = f"has no {metric}, which the baseline has"
    return Verdict("missing", _NAME, cell.key, metric, text, "baseline")


def _measured(cell: Cell, run: Run, baseline: Run, metric: Metric, floor: float) -> Verdict:
    name = metric.name
    found = change(cell, run, baseline, name)
    if found.ratio is None:
        status: VerdictStatus = "inconclusive" if found.comparable else "incomparable"
        return Verdict(status, _NAME, cell.key, name, found.why, "baseline", floor)
    estimate = Interval(found.ratio.value - 1, found.ratio.low - 1, found.ratio.high - 1)
    status = worse(estimate if metric.better == "lower" else _negative(estimate), floor)
    if found.yardstick == cell.key:
        text = 'is the yardstick of compare = "ratio": its own change is not judged'
    else:
        text = _change_words(metric, estimate, found.yardstick, status)
    return Verdict(status, _NAME, cell.key, name, text, "baseline", floor, estimate)


def _negative(one: Interval) -> Interval:
    return Interval(-one.value, -one.high, -one.low)


def _change_words(metric: Metric, estimate: Interval, yardstick: str, status: VerdictStatus) -> str:
    relative = f" relative to {yardstick}" if yardstick else ""
    around = words.spread(estimate, words.signed_percent)
    is_latency = metric.name == LATENCY
    if abs(estimate.value) < 0.0005:
        same = "as fast as" if is_latency else f"as much {metric.name} as"
        return f"{same} in the baseline{relative}{around}"
    directions = ("slower", "faster") if is_latency else ("more", "less")
    direction = directions[estimate.value < 0] + ("" if is_latency else f" {metric.name}")
    text = (
        f"{words.percent(abs(estimate.value))} {direction} than in the baseline{relative}"
        f"{around.replace('(', '(latency ' if is_latency else '(', 1)}"
    )
    return f"{text}: too close to tell, {more(metric)}" if status == "inconclusive" else text


def _accuracy(cell: Cell, before: Record, now: Record, metric: str) -> Verdict:
    status: VerdictStatus
    try:
        estimate = metrics.loss(before, now, metric)
    except Incomparable as error:
        status, estimate, text = "incomparable", None, str(error)
    else:
        if estimate is None:
            status, text = "inconclusive", f"{metric} has no interval: it is not a number"
        else:
            status = worse(estimate, ACCURACY_FLOOR)
            text = f"{loss_words(estimate, metric)} since the baseline"
            if status == "inconclusive":
                text = f"{text}: too close to tell, {more(None)}"
    return Verdict(status, _NAME, cell.key, metric, text, "baseline", ACCURACY_FLOOR, estimate)


def worse(estimate: Interval, floor: float) -> VerdictStatus:
    """Return `regressed` if the change for the worse is above the floor and surely not nothing.

    Above the floor but maybe nothing is `inconclusive`: green would be a guess.
    """
    if estimate.value <= floor + SLACK:
        return "pass"
    return "regressed" if estimate.low > SLACK else "inconclusive"
