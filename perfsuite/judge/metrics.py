"""The values of a metric in a record, alone or relative to another record."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from perfsuite.domain.metrics import LATENCY, MACS, STAGE, Metric, known_metrics
from perfsuite.domain.record import Part, Record
from perfsuite.domain.suite import Budget, Statistic
from perfsuite.domain.verdict import Interval
from perfsuite.errors import Incomparable
from perfsuite.judge import intervals
from perfsuite.judge.sequential import look_confidence

SHARE = Metric("stage_share", "1", summary="mean")  # a stage's part of the profiled call


def subject(budget: Budget) -> str:
    """Return the name under which this module knows a budget's metric: a stage's is `stage_s/rpn`.

    Where the budget limits the stage's share, it is `stage_share/rpn`.
    """
    if budget.stage is None:
        return budget.metric
    return f"{budget.metric if budget.max_share is None else SHARE.name}/{budget.stage}"


def has(record: Record, metric: str) -> bool:
    """Tell whether the record has values of the metric."""
    if metric == LATENCY or _is_staged(metric):
        return bool(_rounds(record, metric))
    if metric in record.values:
        return bool(record.values[metric])
    return record.accuracy_by(metric) is not None


def definition(record: Record, metric: str) -> Metric | None:
    """Return the definition of a metric; None for an accuracy, whose name a task chooses."""
    name = metric.partition("/")[0]
    return SHARE if name == SHARE.name else known_metrics(record.metrics).get(name)


def is_accuracy(record: Record, metric: str) -> bool:
    """Tell whether the metric is an accuracy of the task."""
    return definition(record, metric) is None


def is_machine_bound(record: Record, metric: str) -> bool:
    """Return whether the metric says nothing without the same machine and real kernels."""
    found = definition(record, metric)
    return found is not None and found.machine_bound


def is_measured(record: Record, metric: str) -> bool:
    """Return whether each round measures the metric anew, as it does no size and no accuracy."""
    found = definition(record, metric)
    return found is not None and found.summary != "exact"


def uncounted(record: Record, metric: str) -> tuple[str, ...]:
    """Return the operators that are not in the metric's value, as `3 GridSample`; mostly none."""
    if metric != MACS:
        return ()
    return tuple(f"{number} {name}" for name, number in sorted(record.uncounted.items()))


def level(record: Record, metric: str, statistic: Statistic = "median") -> Interval | None:
    """Return the metric's value with its interval; None where there are too few samples.

    Of latencies and other samples it is the geometric mean over processes, of shares the mean.
    """
    known = definition(record, metric)
    if _is_staged(metric):
        values = [value for (value,) in _rounds(record, metric).values()]
        if known == SHARE:
            return intervals.share_interval(values, _confidence((record, values)))
        if values and not any(values):
            return _exact(0.0)  # a stage without a kernel takes no time
    if found := record.accuracy_by(metric):
        return intervals.accuracy_interval(found)
    if _is_exact(record, metric):
        return _exact(_value(record, metric))
    if known is not None and known.summary == "mean":
        samples = record.values.get(metric, ())
        return intervals.arithmetic_interval(samples, _confidence((record, samples)))
    logs = _logs(record, metric, statistic)
    return intervals.mean_interval(logs, _confidence((record, logs)))


def typical_latency(record: Record) -> float | None:
    """Return the geometric mean of the processes' medians, in seconds; None without any."""
    found = log_latencies(record)
    return math.exp(sum(found) / len(found)) if found else None


def log_latencies(record: Record) -> list[float]:
    """Return the logarithms of the processes' medians, in seconds, in order of size."""
    return _logs(record, LATENCY, "median")


def ratio(value: Record, reference: Record, metric: str, statistic: Statistic) -> Interval | None:
    """Return value / reference of two cells of one run; None where there are too few samples.

    What each process of both has is paired by rounds.
    """
    if _has_rounds(metric, value, reference) and not _lacks_logs(metric, value, reference):
        paired = log_ratios(value, reference, metric, statistic)
        return intervals.mean_interval(paired, _confidence((value, paired)))
    return ratio_between_runs(value, reference, metric, statistic)


def log_ratios(
    value: Record, reference: Record, metric: str = LATENCY, statistic: Statistic = "median"
) -> list[float]:
    """Return log(value / reference) of two cells of one run, one for each round that both have.

    Medians of processes that took turns are compared slice by slice.
    """
    above, below = _rounds(value, metric), _rounds(reference, metric)
    if metric != LATENCY or statistic != "median":
        return intervals.log_ratios(above, below, statistic)
    unusable = {*intervals.invalid_rounds(above), *intervals.invalid_rounds(below)}
    found = []
    for number in sorted(above):
        if number in unusable or number not in below:
            continue
        paired = _log_ratio_of_slices(value, reference, number)
        if paired is None:
            (paired,) = intervals.log_ratios({number: above[number]}, below)
        found.append(paired)
    return found


def _log_ratio_of_slices(value: Record, reference: Record, number: int) -> float | None:
    """Return log(value / reference) of the processes of a round that took turns with each other.

    None if none did. Where not all fitted into memory together, the reference has several.
    """
    theirs = {part.slices.together: part for part in _took_turns(reference, number)}
    for ours in _took_turns(value, number):
        if (other := theirs.get(ours.slices.together)) is not None:
            return intervals.log_ratio_of_slices(
                ours.latencies_s, ours.slices.counts, other.latencies_s, other.slices.counts
            )
    return None


def _took_turns(record: Record, number: int) -> list[Part]:
    """Return what the processes of one round have timed that took turns with others."""
    slices = record.slices.get(number)
    first = [Part(record.latencies_s[number], slices)] if slices else []
    parts = record.parts.get(number, ())
    return [*first, *(one for one in parts if not intervals.invalid_rounds({0: one.latencies_s}))]


def ratio_between_runs(
    value: Record, reference: Record, metric: str, statistic: Statistic
) -> Interval | None:
    """Return value / reference of two runs; None where samples are too few, or some are zero.

    What is zero in all of both has not changed.
    """
    if all(_is_zero(one, metric) for one in (value, reference)):
        return _exact(1.0)
    if _is_exact(value, metric):
        exact = _value(reference, metric)
        return _exact(_value(value, metric) / exact) if exact > 0.0 else None
    above, below = (_logs(record, metric, statistic) for record in (value, reference))
    confidence = _confidence((value, above), (reference, below))
    return intervals.independent_interval([above], [below], confidence)


def counted_ratio(value: Record, reference: Record, metric: str) -> float | None:
    """Return value / reference of what is counted, such as MACs.

    None where one is not known, or counted in part.
    """
    if not (has(value, metric) and has(reference, metric)):
        return None
    if uncounted(value, metric) or uncounted(reference, metric):
        return None
    if _is_zero(reference, metric):
        return None
    found = ratio_between_runs(value, reference, metric, "median")
    return found.value if found is not None and found.value > 0.0 else None


def ratio_of_ratios(
    now: tuple[Record, Record], before: tuple[Record, Record], metric: str, statistic: Statistic
) -> Interval | None:
    """Return (now / its yardstick) / (before / its yardstick); None where samples are too few.

    Each pair holds a cell's record and that of the yardstick in the same run.
    """
    if _is_exact(now[0], metric):
        one, its, other, theirs = (_value(record, metric) for record in (*now, *before))
        return _exact(one * theirs / (its * other)) if its * other > 0.0 else None
    if _lacks_logs(metric, *now, *before):
        return None
    if _has_rounds(metric, *now, *before):
        paired = [log_ratios(one, yardstick, metric, statistic) for one, yardstick in (now, before)]
        confidence = _confidence((now[0], paired[0]), (before[0], paired[1]))
        return intervals.independent_interval(paired[:1], paired[1:], confidence)
    records = (*now, *before)
    logs = [_logs(record, metric, statistic) for record in records]
    confidence = _confidence(*zip(records, logs, strict=True))
    return intervals.independent_interval([logs[0], logs[3]], [logs[1], logs[2]], confidence)


def deviation_of_processes(
    now: Sequence[Record], before: Sequence[Record], metric: str, statistic: Statistic
) -> float:
    """Return the standard deviation of single processes' log values, within each of two runs.

    Of two records a run, a cell's and its yardstick's, it is that of their log ratio.
    """
    if len(now) == 1 or not _has_rounds(metric, *now, *before):
        pooled = (
            intervals.pooled_deviation(_logs(one, metric, statistic) for one in pair)
            for pair in zip(now, before, strict=True)
        )
        return math.hypot(*pooled)
    return intervals.pooled_deviation(
        log_ratios(one, yardstick, metric, statistic) for one, yardstick in (now, before)
    )


def same_samples(one: Record, other: Record, metric: str) -> bool:
    """Tell whether both have exactly the same measurements, as a run and a copy of it have."""
    if metric == LATENCY or _is_staged(metric):
        return _rounds(one, metric) == _rounds(other, metric)
    return one.values.get(metric) == other.values.get(metric)


def loss(reference: Record, variant: Record, metric: str) -> Interval | None:
    """Return the percentage points of the accuracy by `metric` lost; None without replicates.

    It is exactly 0 for the same artifact with the same answers, whatever the number of samples.
    Raises `Incomparable` unless both answered the same samples. Both must have that accuracy.
    """
    one, other = reference.accuracy_by(metric), variant.accuracy_by(metric)
    if one is None or other is None:
        raise ValueError(f"both records must have an accuracy by {metric}")
    interval = intervals.difference_interval(one, other)
    if interval is not None and reference.artifact and reference.artifact == variant.artifact:
        return _exact(0.0) if one == other else interval
    return interval


def known_loss(reference: Record, variant: Record, metric: str = "") -> Interval | None:
    """Return the points lost by `metric`, or by the variant's main one if none is named.

    None if it cannot be computed, as for other test samples.
    """
    if not metric and variant.accuracy is not None:
        metric = variant.accuracy.metric
    if reference.accuracy_by(metric) is None or variant.accuracy_by(metric) is None:
        return None
    try:
        return loss(reference, variant, metric)
    except Incomparable:
        return None


def _confidence(*found: tuple[Record, Sequence[float]]) -> float:
    """Return the confidence of an interval that is computed from these values of records.

    It is 95 %, and more where a run was looked at after each round: that of the look at so many
    rounds. Of two runs with such looks, it is the higher one.
    """
    confidence = intervals.CONFIDENCE
    for record, values in found:
        if record.looks is not None:
            # An invalid one is left out.
            rounds = min(len(values), len(record.latencies_s), record.looks.most)
            confidence = max(confidence, look_confidence(record.looks, rounds))
    return confidence


def _value(record: Record, metric: str) -> float:
    return float(np.median(record.values[metric]))


def _exact(value: float) -> Interval | None:
    return Interval(value, value, value) if math.isfinite(value) else None


def _logs(record: Record, metric: str, statistic: Statistic) -> list[float]:
    if metric == LATENCY or _is_staged(metric):
        found = intervals.process_statistics(_rounds(record, metric), statistic)
        return intervals.logs(tuple(found.values()))
    # Without those that have no logarithm, what is left would be compared as if it were all.
    return [] if _lacks_logs(metric, record) else intervals.logs(record.values.get(metric, ()))


def has_zeros(metric: str, *records: Record) -> bool:
    """Tell whether a ratio lacks because some values of a meter are zero."""
    return not _in_rounds_always(metric) and any(
        one == 0.0 for record in records for one in record.values.get(metric, ())
    )


def _in_rounds_always(metric: str) -> bool:
    return metric == LATENCY or _is_staged(metric)


def _lacks_logs(metric: str, *records: Record) -> bool:
    """Tell whether values, which are not latencies, have no logarithm."""
    return not _in_rounds_always(metric) and not all(
        one > 0.0 for record in records for one in record.values.get(metric, ())
    )


def _is_zero(record: Record, metric: str) -> bool:
    samples = () if _in_rounds_always(metric) else record.values.get(metric, ())
    return len(samples) > 0 and not any(samples)


def _is_exact(record: Record, metric: str) -> bool:
    found = definition(record, metric)
    return found is not None and found.summary == "exact"


def _is_staged(metric: str) -> bool:
    return metric.startswith((f"{STAGE}/", f"{SHARE.name}/"))


def _has_rounds(metric: str, *records: Record) -> bool:
    """Tell whether it is known of each record which round a value of the metric is of."""
    if metric == LATENCY or _is_staged(metric):
        return True
    return all(metric in one.by_round and not _is_exact(one, metric) for one in records)


def _rounds(record: Record, metric: str) -> intervals.Rounds:
    """Return the samples of each process, by round."""
    if metric == LATENCY:
        return record.latencies_s
    if not _is_staged(metric):
        return {number: (one,) for number, one in record.by_round.get(metric, {}).items()}
    kind, _, stage = metric.partition("/")
    return {
        number: (rows[stage] / (math.fsum(rows.values()) if kind == SHARE.name else 1.0),)
        for number, rows in record.stages_s.items()
        if stage in rows and any(rows.values())
    }
