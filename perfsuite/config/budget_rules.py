"""Whether a budget makes sense by itself: its limit, its metric, its reference."""

from __future__ import annotations

import difflib

from perfsuite.config.conversion import Location
from perfsuite.domain.suite import LOWER_IS_BETTER, MEASURED, STAGE, Budget, Measure
from perfsuite.plugins import suggestion

RELATIVE = ("min_speedup", "min_realised", "max_drop_points", "max_increase")
ABSOLUTE = ("max", "min", "max_share")
P99_CALLS = 1000  # below that the 99th percentile rests on fewer than ten calls
_UNITS = ("_s", "_bytes")
_NEAR = 0.7  # so near a name of ours, `latency` or `params`, is no accuracy's own name


def check_budget(budget: Budget, measure: Measure, location: Location) -> None:
    """Raise `ConfigError` for a budget that no run could be held to."""
    given = [name for name in (*RELATIVE, *ABSOLUTE) if getattr(budget, name) is not None]
    if len(given) != 1:
        found = f"has {' and '.join(given)}" if given else "has no limit"
        raise location.error(
            f"budget '{budget.name}' {found}; give exactly one of {', '.join(RELATIVE + ABSOLUTE)}"
        )
    limit = given[0]
    _check_stage(budget, limit, location)
    _check_metric(budget, limit, location)
    _check_reference(budget, limit, location)
    _check_statistic(budget, measure, location)


def _check_stage(budget: Budget, limit: str, location: Location) -> None:
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


def _check_metric(budget: Budget, limit: str, location: Location) -> None:
    metric = budget.metric
    near = difflib.get_close_matches(metric, MEASURED, n=1, cutoff=_NEAR)
    if metric not in MEASURED and (near or metric.endswith(_UNITS)):
        raise location.key("metric").error(
            f"'{metric}' is not measured{suggestion(metric, MEASURED)}"
        )
    if limit in ("min_speedup", "max_increase") and metric not in LOWER_IS_BETTER:
        known = suggestion(metric, LOWER_IS_BETTER)
        raise location.key(limit).error(f"is for times and sizes, and '{metric}' is neither{known}")
    if limit == "min_realised" and metric != "latency_s":
        raise location.key(limit).error(
            f"is the share of a theoretical speed-up that the clock shows: it wants the metric "
            f"latency_s, and this is '{metric}'"
        )
    if limit == "max_drop_points" and metric in MEASURED:
        raise location.key(limit).error(
            f"is for accuracies, such as top1, and '{metric}' is none; "
            f"use min_speedup, max_increase, max or min"
        )


def _check_reference(budget: Budget, limit: str, location: Location) -> None:
    if budget.baseline and budget.against is not None:
        raise location.key("baseline").error(
            "the reference is either a cell of this run (against) or the baseline run, not both"
        )
    if limit == "min_realised" and budget.against is None:
        raise location.key(limit).error(
            'needs the cell of this run that was compressed: against = "<its key>"'
        )
    has_reference = budget.baseline or budget.against is not None
    if limit in RELATIVE and not has_reference:
        raise location.key(limit).error(
            'needs a reference: against = "<a cell\'s key>" or baseline = true'
        )
    if limit in ABSOLUTE and has_reference:
        raise location.key(limit).error("is absolute: remove against and baseline")


def _check_statistic(budget: Budget, measure: Measure, location: Location) -> None:
    if budget.statistic == "median":
        return
    if budget.metric != "latency_s":
        raise location.key("statistic").error(
            f"{budget.statistic} is of latency_s alone: '{budget.metric}' has no distribution of "
            "calls"
        )
    if budget.statistic == "p99" and measure.calls < P99_CALLS:
        raise location.key("statistic").error(
            f"p99 wants {P99_CALLS} calls a process and measure.calls is {measure.calls}; "
            f"set measure = {{ calls = {P99_CALLS} }} or use p95"
        )
