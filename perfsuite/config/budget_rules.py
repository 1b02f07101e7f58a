"""The rules that a budget must obey by itself: on its limit, its metric, its reference."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from perfsuite.config.conversion import Location
from perfsuite.domain.metrics import LATENCY, STAGE, Metric
from perfsuite.domain.suite import Budget, Limit, Measure
from perfsuite.plugins import suggestion

RELATIVE: tuple[Limit, ...] = ("min_speedup", "min_realised", "max_drop_points", "max_increase")
ABSOLUTE: tuple[Limit, ...] = ("max", "min", "max_share")
P99_CALLS = 1000  # at least, so that ten calls are beyond the 99th percentile
_NEAR = 0.7  # the similarity to a metric of ours from which on a name is taken for a mistake


def check_budget(
    budget: Budget, measure: Measure, known: Mapping[str, Metric], location: Location
) -> None:
    """Raise `ConfigError` for a budget that cannot be judged on any run.

    `known` are the metrics that are measured, by name; any other metric is an accuracy.
    """
    given = [name for name in (*RELATIVE, *ABSOLUTE) if getattr(budget, name) is not None]
    if len(given) != 1:
        found = f"has {' and '.join(given)}" if given else "has no limit"
        raise location.error(
            f"budget '{budget.name}' {found}; give exactly one of {', '.join(RELATIVE + ABSOLUTE)}"
        )
    limit = given[0]
    _check_stage(budget, limit, location)
    _check_metric(budget, limit, known, location)
    _check_reference(budget, limit, location)
    _check_statistic(budget, measure, location)


def _check_stage(budget: Budget, limit: Limit, location: Location) -> None:
    if budget.stage is None and budget.metric == STAGE:
        raise location.error(
            f"budget '{budget.name}': {STAGE} is the time of one stage; say which: "
            f'stage = "<its name>"'
        )
    if budget.stage is None and limit == "max_share":
        raise location.key(limit).error(
            f'is a stage\'s part of the call; say which: metric = "{STAGE}", stage = "<its name>"'
        )
    if budget.stage is not None and budget.metric != STAGE:
        raise location.key("metric").error(
            f"a stage's time has the metric '{STAGE}', and this is '{budget.metric}'; write "
            f'metric = "{STAGE}", or remove stage'
        )


def _check_metric(
    budget: Budget, limit: str, known: Mapping[str, Metric], location: Location
) -> None:
    metric = budget.metric
    near = difflib.get_close_matches(metric, known, n=1, cutoff=_NEAR)
    if metric not in known and (near or metric.endswith(_endings(known))):
        raise location.key("metric").error(f"'{metric}' is not measured{suggestion(metric, known)}")
    lower = [name for name, one in known.items() if one.better == "lower"]
    if limit in ("min_speedup", "max_increase") and metric not in lower:
        raise location.key(limit).error(
            f"is for times and sizes, and '{metric}' is neither{suggestion(metric, lower)}"
        )
    if limit == "min_realised" and metric != LATENCY:
        raise location.key(limit).error(
            f"is the share of a theoretical speed-up that the clock shows: it wants the metric "
            f"latency_s, and this is '{metric}'"
        )
    if limit == "max_drop_points" and metric in known:
        raise location.key(limit).error(
            f"is for accuracies, such as top1, and '{metric}' is none; "
            f"use min_speedup, max_increase, max or min"
        )


def _endings(known: Mapping[str, Metric]) -> tuple[str, ...]:
    """Return the units that names of metrics end with, which names of accuracies do not."""
    return tuple({f"_{one.name.rpartition('_')[2]}" for one in known.values() if one.unit != "1"})


def _check_reference(budget: Budget, limit: str, location: Location) -> None:
    if budget.baseline and budget.against is not None:
        raise location.key("baseline").error(
            "the reference is either a cell of this run (against) or the baseline run, not both"
        )
    if limit == "min_realised" and budget.against is None:
        raise location.key(limit).error(
            'needs the cell of this run that was compressed: against = "<its key>" or, of the same '
            'workload, "<recipe>/<runtime>"'
        )
    has_reference = budget.baseline or budget.against is not None
    if limit in RELATIVE and not has_reference:
        raise location.key(limit).error(
            'needs a reference: against = "<a cell\'s key>" or, for the cell of the same workload, '
            '"<recipe>/<runtime>"; or baseline = true'
        )
    if limit in ABSOLUTE and has_reference:
        raise location.key(limit).error("is absolute: remove against and baseline")


def _check_statistic(budget: Budget, measure: Measure, location: Location) -> None:
    if budget.statistic == "median":
        return
    if budget.metric != LATENCY:
        raise location.key("statistic").error(
            f"{budget.statistic} is of latency_s alone: '{budget.metric}' has no distribution of "
            "calls"
        )
    if budget.statistic == "p99" and measure.calls < P99_CALLS:
        raise location.key("statistic").error(
            f"p99 wants {P99_CALLS} calls a process and measure.calls is {measure.calls}; "
            f"set measure = {{ calls = {P99_CALLS} }} or use p95"
        )
