"""What a verdict says to a person."""

from __future__ import annotations

from perfsuite.domain.metrics import Metric
from perfsuite.domain.suite import Budget
from perfsuite.domain.verdict import Interval, VerdictStatus
from perfsuite.judge import words


def sentence(
    budget: Budget, estimate: Interval, name: str, status: VerdictStatus, metric: Metric | None
) -> str:
    """Return what was found and what was asked for; `name` is that of the reference.

    `metric` is None where it is an accuracy.
    """
    by = "" if budget.statistic == "median" else f" by its {budget.statistic}"
    whose = "" if budget.stage is None else f"stage {budget.stage}: "
    text = whose + _finding(budget, estimate, name, by, metric)
    if status != "inconclusive":
        return text
    return f"{text}: too close to tell, {more(metric)}"


def more(metric: Metric | None) -> str:
    """Return what would make an interval narrower; that of an accuracy without a `metric`."""
    return "evaluate more samples" if metric is None else "measure more processes"


def _finding(budget: Budget, estimate: Interval, name: str, by: str, metric: Metric | None) -> str:
    if budget.min_speedup is not None:
        return (
            f"{speedup_words(estimate.value, name, metric)}{by}"
            f"{words.spread(estimate, words.times)}, needs {words.times(budget.min_speedup)}"
        )
    if budget.min_realised is not None:
        return (
            f"realises {words.number(estimate.value)} of the speed-up that its MACs promise over "
            f"{name}{by}{words.spread(estimate, words.number)}, "
            f"needs {words.number(budget.min_realised)}"
        )
    if budget.max_drop_points is not None:
        return (
            f"{loss_words(estimate, budget.metric)} against {name}, "
            f"may lose {words.points(budget.max_drop_points)}"
        )
    if budget.max_increase is not None:
        return (
            f"{budget.metric} changes by {words.signed_percent(estimate.value)}{by} against {name}"
            f"{words.spread(estimate, words.signed_percent)}, "
            f"may grow by {words.percent(budget.max_increase)}"
        )

    if budget.max_share is not None:
        return (
            f"{words.percent(estimate.value)} of the profiled call"
            f"{words.spread(estimate, words.percent)}, may take {words.percent(budget.max_share)}"
        )

    def show(value: float) -> str:
        return words.quantity(value, metric.unit if metric else "1")

    most, limit = ("most", budget.max) if budget.max is not None else ("least", budget.min)
    allowed = show(limit) if limit is not None else ""
    return (
        f"{budget.metric} is {show(estimate.value)}{by}{words.spread(estimate, show)}, "
        f"must be at {most} {allowed}"
    )


def speedup_words(value: float, name: str, metric: Metric | None) -> str:
    """Return `11.3x faster than NAME`, or that it is not; of what is no time, `11.3x less`."""
    if metric is not None and metric.unit != "s":
        if value >= 1.0:
            return f"{words.times(value)} less {metric.name} than {name}"
        return f"{words.times(1.0 / value)} the {metric.name} of {name}"
    if abs(value - 1.0) < 0.005:
        return f"as fast as {name}"
    return f"{words.times(value)} {'faster than' if value > 1.0 else 'the speed of'} {name}"


def loss_words(estimate: Interval, metric: str) -> str:
    """Return `loses 0.25 points of top1 (-0.1 to 0.6)`, or that it gains."""
    around = words.spread(estimate, words.points)
    if estimate.value >= 0.0:
        return f"loses {words.points(estimate.value)} points of {metric}{around}"
    around = around.replace("(", "(a loss of ", 1)
    return f"gains {words.points(-estimate.value)} points of {metric}{around}"
