"""Estimates with their 95 % intervals, from raw samples.

The sample of a time is a process, not an iteration: each process gives one statistic (its median,
p95 or p99), and intervals are computed from these. Logarithms are used because times are compared
as ratios.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from statistics import median

import numpy as np

from perfsuite.domain.record import Accuracy
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Interval
from perfsuite.errors import Incomparable
from perfsuite.judge.t_distribution import incomplete_beta, t_quantile

CONFIDENCE = 0.95

_PERCENTILES: dict[Statistic, float] = {"median": 50.0, "p95": 95.0, "p99": 99.0}

Rounds = Mapping[int, Sequence[float]]  # round to the samples of its process


def process_statistics(rounds: Rounds, statistic: Statistic = "median") -> dict[int, float]:
    """Return the statistic of each process, by round.

    Processes without samples, or with one that is not a positive finite number and so has no
    logarithm, are left out; `invalid_rounds` returns them.
    """
    bad = set(invalid_rounds(rounds))
    percentile = _PERCENTILES[statistic]
    return {
        number: float(np.percentile(np.asarray(rounds[number]), percentile))
        for number in sorted(rounds)
        if number not in bad
    }


def invalid_rounds(rounds: Rounds) -> list[int]:
    """Return the rounds whose samples cannot be used."""
    return [number for number in sorted(rounds) if not _all_positive(rounds[number])]


def log_ratios(a: Rounds, b: Rounds, statistic: Statistic = "median") -> list[float]:
    """Return log(a / b) of process statistics, one for each round that both have."""
    above, below = process_statistics(a, statistic), process_statistics(b, statistic)
    return [math.log(above[number] / below[number]) for number in above if number in below]


def log_ratio_of_slices(
    a: Sequence[float], a_counts: Sequence[int], b: Sequence[float], b_counts: Sequence[int]
) -> float | None:
    """Return log(a / b) of two processes that took turns; None without a slice that both have.

    The pair is the slice: the median of the log ratios of the medians of slices that were timed in
    the same cycle, so that what disturbs both cancels and what disturbs one slice hardly counts.
    """
    above, below = _slice_medians(a, a_counts), _slice_medians(b, b_counts)
    paired = [math.log(one / other) for one, other in zip(above, below, strict=False)]
    return float(np.median(paired)) if paired else None


def _slice_medians(samples: Sequence[float], counts: Sequence[int]) -> list[float]:
    # Of some dozens of calls: NumPy would take ten times as long, and give the same.
    ends = accumulate(counts)
    inside = (samples[end - count : end] for end, count in zip(ends, counts, strict=True))
    return [median(one) for one in inside if one]


def logs(values: Sequence[float]) -> list[float]:
    """Return the logarithms of those values that have one, in order of size."""
    return sorted(math.log(value) for value in values if math.isfinite(value) and value > 0.0)


def mean_interval(log_values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Return the geometric mean with Student's t interval; None for fewer than two values."""
    if len(log_values) < 2:
        return None
    values = np.asarray(log_values)
    t = _t(len(values) - 1, confidence)
    half = t * float(values.std(ddof=1)) / math.sqrt(len(values))
    return _exponential(float(values.mean()), half)


def arithmetic_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Return the mean with Student's t interval; None for fewer than two values.

    It is for values that may be zero and so have no logarithm.
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    mean = float(np.mean(values))
    half = _t(len(values) - 1, confidence) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def share_interval(shares: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Return the mean of shares with its interval in [0, 1]; None for fewer than two."""
    found = arithmetic_interval(shares, confidence)
    return found and Interval(found.value, max(0.0, found.low), min(1.0, found.high))


def proportion_interval(successes: float, trials: float) -> Interval:
    """Return the share of successes with its exact interval (Clopper and Pearson 1934).

    Both may be fractions, where trials that depend on each other count as fewer.
    """
    if not 0.0 <= successes <= trials or trials <= 0.0:
        raise ValueError(f"{successes} of {trials} is no share")
    failures, tail = trials - successes, (1.0 - CONFIDENCE) / 2.0
    low = _beta_quantile(tail, successes, failures + 1.0) if successes > 0.0 else 0.0
    high = _beta_quantile(1.0 - tail, successes + 1.0, failures) if failures > 0.0 else 1.0
    return Interval(successes / trials, low, high)


def _beta_quantile(probability: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def independent_interval(
    plus: Sequence[Sequence[float]],
    minus: Sequence[Sequence[float]],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Return exp(means of `plus` - means of `minus`); None if a group has fewer than two values.

    The groups are logarithms of separate measurements, as of two runs, which share no rounds and so
    cannot be paired. It is Welch's t interval (Welch 1947) with Satterthwaite's degrees of freedom
    (1946).
    """
    groups = [np.asarray(group, dtype=float) for group in (*plus, *minus)]
    if any(len(group) < 2 for group in groups):
        return None
    signs = [1.0] * len(plus) + [-1.0] * len(minus)
    centre = sum(sign * float(group.mean()) for sign, group in zip(signs, groups, strict=True))
    variances = [float(group.var(ddof=1)) / len(group) for group in groups]
    total = sum(variances)
    if total == 0.0:
        return _exponential(centre, 0.0)
    # Computed from shares, because squares of very small variances underflow.
    freedom = 1.0 / sum(
        (variance / total) ** 2 / (len(group) - 1)
        for variance, group in zip(variances, groups, strict=True)
    )
    return _exponential(centre, _t(freedom, confidence) * math.sqrt(total))


def pooled_deviation(groups: Iterable[Sequence[float]]) -> float:
    """Return the standard deviation within groups; 0 if none has two values."""
    arrays = [np.asarray(group, dtype=float) for group in groups]
    freedom = sum(max(0, len(group) - 1) for group in arrays)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in arrays if len(group))
    return math.sqrt(squares / freedom) if freedom else 0.0


def widened(ratio: Interval, reach: float) -> Interval:
    """Return the interval of a ratio that also reaches `reach` to each side, as a logarithm.

    Both reaches are of independent errors, whose variances add up.
    """
    centre = math.log(ratio.value)
    low = centre - math.hypot(centre - math.log(ratio.low), reach)
    high = centre + math.hypot(math.log(ratio.high) - centre, reach)
    return Interval(ratio.value, math.exp(max(low, -700.0)), math.exp(min(high, 700.0)))


def difference_interval(reference: Accuracy, variant: Accuracy) -> Interval | None:
    """Return the percentage points lost: (reference - variant) * 100; None without replicates.

    It is the percentile interval of paired bootstrap replicates (Efron and Tibshirani 1993). Each
    side is at least as wide as by the rule of three: an event that was seen in none of n samples
    may still have a probability of 3 / n (Hanley and Lippman-Hand 1983). Raises `Incomparable`
    unless both answered the same samples.
    """
    _require_same_samples(reference, variant)
    value = (reference.value - variant.value) * 100.0
    replicates = np.asarray(reference.replicates) - np.asarray(variant.replicates)
    return _percentile_interval(value, replicates * 100.0, 300.0 / max(1, reference.samples))


def accuracy_interval(accuracy: Accuracy) -> Interval | None:
    """Return the metric itself, a fraction, with its percentile interval; None without one."""
    replicates = np.asarray(accuracy.replicates)
    return _percentile_interval(accuracy.value, replicates, 3.0 / max(1, accuracy.samples))


def _percentile_interval(
    value: float, replicates: np.ndarray, least_half_width: float
) -> Interval | None:
    if len(replicates) < 2 or not math.isfinite(value) or not np.isfinite(replicates).all():
        return None
    tail = 100.0 * (1.0 - CONFIDENCE) / 2.0
    low, high = np.percentile(replicates, [tail, 100.0 - tail])
    return Interval(
        value,
        min(float(low), value - least_half_width),
        max(float(high), value + least_half_width),
    )


def _require_same_samples(reference: Accuracy, variant: Accuracy) -> None:
    if reference.split != variant.split:
        raise Incomparable(
            f"accuracies of other samples: {reference.split} and {variant.split}; answer the same "
            f'with both: evaluate = {{ split = "test" }}'
        )
    checks = {
        "metric": (reference.metric, variant.metric),
        "number of samples": (reference.samples, variant.samples),
        f"{variant.split} samples (digest)": (reference.digest, variant.digest),
        "number of replicates": (len(reference.replicates), len(variant.replicates)),
    }
    for what, (one, other) in checks.items():
        if one != other:
            raise Incomparable(
                f"accuracies with another {what}: {one!s:.12} and {other!s:.12}; "
                f"evaluate both on the same samples"
            )


def _t(freedom: float, confidence: float) -> float:
    return t_quantile((1.0 + confidence) / 2.0, freedom)


def _exponential(centre: float, half: float) -> Interval:
    # exp would overflow for a very wide interval.
    high = math.exp(min(centre + half, 700.0))
    return Interval(math.exp(centre), math.exp(max(centre - half, -700.0)), high)


def _all_positive(samples: Sequence[float]) -> bool:
    return len(samples) > 0 and all(math.isfinite(one) and one > 0.0 for one in samples)
