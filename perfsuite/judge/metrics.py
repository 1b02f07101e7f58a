"""What a record says about a metric: samples of it, alone or relative to another record."""

from __future__ import annotations

import math

import numpy as np

from perfsuite.domain.record import Record
from perfsuite.domain.suite import MEASURED, Statistic
from perfsuite.domain.verdict import Interval
from perfsuite.judge import intervals

# Without the same machine these say nothing.
TIMES = frozenset({"latency_s", "throughput_per_s", "load_s", "first_call_s", "build_s"})
# Counted, or done once: there is no spread, the value is what it is.
EXACT = frozenset({"artifact_bytes", "parameters", "macs", "build_s"})


def has(record: Record, metric: str) -> bool:
    """Return whether the record says anything about the metric."""
    if metric == "latency_s":
        return bool(record.latencies_s)
    if metric in record.values:
        return bool(record.values[metric])
    return record.accuracy is not None and record.accuracy.metric == metric


def is_accuracy(metric: str) -> bool:
    """Return whether the metric is a task's, which workloads name freely."""
    return metric not in MEASURED


def level(record: Record, metric: str, statistic: Statistic = "median") -> Interval | None:
    """Return the metric's value with its interval; None where there are too few samples.

    Of latencies and other samples it is the geometric mean over processes.
    """
    if is_accuracy(metric) and record.accuracy is not None:
        return intervals.accuracy_interval(record.accuracy)
    if metric in EXACT:
        return _exact(_value(record, metric))
    return intervals.mean_interval(_logs(record, metric, statistic))


def typical_latency(record: Record) -> float | None:
    """Return the geometric mean of the processes' medians, in seconds; None without any."""
    found = _logs(record, "latency_s", "median")
    return math.exp(sum(found) / len(found)) if found else None


def ratio(value: Record, reference: Record, metric: str, statistic: Statistic) -> Interval | None:
    """Return value / reference of two cells of one run; None where there are too few samples.

    Only latencies know their rounds and are paired.
    """
    if metric == "latency_s":
        return intervals.ratio_interval(value.latencies_s, reference.latencies_s, statistic)
    return ratio_between_runs(value, reference, metric, statistic)


def ratio_between_runs(
    value: Record, reference: Record, metric: str, statistic: Statistic
) -> Interval | None:
    """Return value / reference of two runs; None where there are too few samples."""
    if metric in EXACT:
        below = _value(reference, metric)
        return _exact(_value(value, metric) / below) if below > 0.0 else None
    return intervals.independent_interval(
        [_logs(value, metric, statistic)], [_logs(reference, metric, statistic)]
    )


def ratio_of_ratios(
    now: tuple[Record, Record], before: tuple[Record, Record], metric: str, statistic: Statistic
) -> Interval | None:
    """Return (now / its yardstick) / (before / its yardstick); None where samples are too few.

    Each pair holds a cell's record and that of the yardstick in the same run.
    """
    if metric in EXACT:
        one, its, other, theirs = (_value(record, metric) for record in (*now, *before))
        return _exact(one * theirs / (its * other)) if its * other > 0.0 else None
    if metric == "latency_s":
        paired = [
            intervals.log_ratios(one.latencies_s, yardstick.latencies_s, statistic)
            for one, yardstick in (now, before)
        ]
        return intervals.independent_interval(paired[:1], paired[1:])
    logs = [_logs(record, metric, statistic) for record in (*now, *before)]
    return intervals.independent_interval([logs[0], logs[3]], [logs[1], logs[2]])


def same_samples(one: Record, other: Record, metric: str) -> bool:
    """Return whether both hold the very same measurements, as a run does beside its own copy."""
    if metric == "latency_s":
        return one.latencies_s == other.latencies_s
    return one.values.get(metric) == other.values.get(metric)


def loss(reference: Record, variant: Record) -> Interval | None:
    """Return the percentage points of accuracy lost; None without replicates.

    The same artifact with the same answers has lost nothing, whatever the number of samples.
    Raises `Incomparable` unless both answered the same samples. Both must have an accuracy.
    """
    one, other = reference.accuracy, variant.accuracy
    if one is None or other is None:
        raise ValueError("both records must have an accuracy")
    interval = intervals.difference_interval(one, other)
    if interval is not None and reference.artifact and reference.artifact == variant.artifact:
        return _exact(0.0) if one == other else interval
    return interval


def _value(record: Record, metric: str) -> float:
    return float(np.median(record.values[metric]))


def _exact(value: float) -> Interval | None:
    return Interval(value, value, value) if math.isfinite(value) else None


def _logs(record: Record, metric: str, statistic: Statistic) -> list[float]:
    if metric == "latency_s":
        return intervals.logs(
            tuple(intervals.process_statistics(record.latencies_s, statistic).values())
        )
    return intervals.logs(record.values.get(metric, ()))
