"""Sentences on verdicts."""

from __future__ import annotations

from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.verdict import Interval, Verdict
from perfsuite.report import words
from perfsuite.report.sentences.reason import reason_text

_SAME = 0.005  # of a speed-up: less is as fast
_SAME_CHANGE = 0.0005  # of what was before


def verdict_sentence(verdict: Verdict) -> str:
    """Return the estimate and the limit in a sentence, or why there is no estimate."""
    if verdict.reason is not None:
        return reason_text(verdict.reason)
    if verdict.estimate is None:
        return verdict.status.replace("_", " ")
    if verdict.check == "regression" and verdict.yardstick == verdict.cell:
        return 'is the yardstick of compare = "ratio": its own change is not judged'
    whose = f"stage {verdict.stage}: " if verdict.stage else ""
    text = whose + _finding(verdict, verdict.estimate) + _how_measured(verdict)
    if verdict.again:
        red = verdict.status in ("regressed", "over_budget")
        outcome = "" if red else "; the first time it looked worse"
        text = f"measured a second time: {text}{outcome}"
    if verdict.status != "inconclusive":
        return text
    if verdict.uncounted:
        return f"{text}: cannot tell, there is no formula for {', '.join(verdict.uncounted)}"
    if verdict.tried_beside:  # a warning tells why
        return f"{text}: too close to tell, and it could not be measured beside the baseline"
    more = "measure more processes" if verdict.unit else "evaluate more samples"
    if verdict.noise:
        more = "measure it beside the baseline (run --baseline)"
    return f"{text}: too close to tell, {more}"


def _how_measured(verdict: Verdict) -> str:
    """Return that it was measured beside, or what is known of the noise between two stored runs.

    Of a red verdict beside the baseline it tells that there was no second measurement. It is empty
    for what no process measures, such as a size.
    """
    if verdict.beside:
        red = verdict.status in ("regressed", "over_budget")
        return f"; beside{', measured once' if red and not verdict.again else ''}"
    if not verdict.noise:
        return ""
    if verdict.noise == "unknown" or verdict.between is None:
        return "; stored runs, noise between runs not known"
    earlier = verdict.noise == "earlier runs"
    source = f"from {verdict.noise_runs} earlier runs" if earlier else "by the certificate"
    return f"; stored runs, noise between runs {words.percent(verdict.between)} ({source})"


def _finding(verdict: Verdict, estimate: Interval) -> str:
    limit = verdict.limit if verdict.limit is not None else 0.0
    metric, by = verdict.metric, ""
    if verdict.statistic != "median":
        by = f" by its {verdict.statistic}"
    name = "the baseline" if verdict.against == "baseline" else verdict.against
    if _is_noise(verdict, estimate):
        needed = {
            "min_speedup": f", needs {words.times(limit)}",
            "min_realised": f", must realise {words.number(limit)} of what its MACs promise",
            "max_increase": f", may grow by {words.percent(limit)}",
        }
        told = needed.get(verdict.check, "")
        return f"{metric}{by} against {name} is noise, for which there is no figure{told}"
    match verdict.check:
        case "min_speedup":
            around = words.spread(estimate, words.times)
            return f"{_speedup(verdict, estimate, name)}{by}{around}, needs {words.times(limit)}"
        case "min_realised":
            return (
                f"realises {words.number(estimate.value)} of the speed-up that its MACs promise "
                f"over {name}{by}{words.spread(estimate, words.number)}, "
                f"needs {words.number(limit)}"
            )
        case "max_drop_points":
            return f"{_loss(estimate, metric)} against {name}, may lose {words.points(limit)}"
        case "max_increase":
            return (
                f"{metric} changes by {words.signed_percent(estimate.value)}{by} against {name}"
                f"{words.spread(estimate, words.signed_percent)}, "
                f"may grow by {words.percent(limit)}"
            )
        case "max_share":
            return (
                f"{words.percent(estimate.value)} of the profiled call"
                f"{words.spread(estimate, words.percent)}, may take {words.percent(limit)}"
            )
        case "max" | "min":
            return _level(verdict, estimate, limit, by)
        case "regression" if not verdict.unit:
            return f"{_loss(estimate, metric)} since the baseline"
        case _:
            return _change(verdict, estimate)


def _is_noise(verdict: Verdict, estimate: Interval) -> bool:
    """Tell whether an estimate is a ratio, or a change by one, that is no figure."""
    if verdict.check in ("min_speedup", "min_realised"):
        return words.is_noise(estimate)
    if verdict.check == "max_increase" or (verdict.check == "regression" and verdict.unit):
        ends = (estimate.value + 1.0, estimate.low + 1.0, estimate.high + 1.0)
        return words.is_noise(Interval(*ends))
    return False


def _level(verdict: Verdict, estimate: Interval, limit: float, by: str) -> str:
    def show(value: float) -> str:
        return words.quantity(value, verdict.unit or "1")

    bound = "most" if verdict.check == "max" else "least"
    least = "at least " if verdict.uncounted else ""
    return (
        f"{verdict.metric} is {least}{show(estimate.value)}{by}{words.spread(estimate, show)}, "
        f"must be at {bound} {show(limit)}"
    )


def _speedup(verdict: Verdict, estimate: Interval, name: str) -> str:
    """Return `11.3x faster than NAME` or its opposite; for other metrics `11.3x less`."""
    value = estimate.value
    if verdict.unit != "s":
        if value >= 1.0:
            return f"{words.times(value)} less {verdict.metric} than {name}"
        return f"{words.times(1.0 / value)} the {verdict.metric} of {name}"
    if abs(value - 1.0) < _SAME:
        return f"as fast as {name}"
    return f"{words.times(value)} {'faster than' if value > 1.0 else 'the speed of'} {name}"


def _loss(estimate: Interval, metric: str) -> str:
    """Return `loses 0.25 points of top1 (-0.1 to 0.6)`, or that it gains."""
    around = words.spread(estimate, words.points)
    if estimate.value >= 0.0:
        return f"loses {words.points(estimate.value)} points of {metric}{around}"
    around = around.replace("(", "(a loss of ", 1)
    return f"gains {words.points(-estimate.value)} points of {metric}{around}"


def _change(verdict: Verdict, estimate: Interval) -> str:
    """Return `20 % slower than in the baseline`; for other metrics `20 % more METRIC`."""
    metric, is_latency = verdict.metric, verdict.metric == LATENCY
    relative = f" relative to {verdict.yardstick}" if verdict.yardstick else ""
    around = words.spread(estimate, words.signed_percent)
    if abs(estimate.value) < _SAME_CHANGE:
        same = "as fast as" if is_latency else f"as much {metric} as"
        return f"{same} in the baseline{relative}{around}"
    directions = ("slower", "faster") if is_latency else (f"more {metric}", f"less {metric}")
    return (
        f"{words.percent(abs(estimate.value))} {directions[estimate.value < 0]} than in the "
        f"baseline{relative}{around.replace('(', '(latency ' if is_latency else '(', 1)}"
    )
