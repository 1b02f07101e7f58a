"""Intervals against numbers computed by hand and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import astuple

from perfsuite.domain.record import Accuracy
from perfsuite.errors import Incomparable
from perfsuite.judge import intervals
from perfsuite.judge.t_distribution import _nonzero, incomplete_beta, t_quantile


@pytest.mark.parametrize("freedom", [1, 1.37, 2, 3, 5.5, 7, 11, 30, 250, 10_000])
@pytest.mark.parametrize("probability", [0.025, 0.5, 0.6, 0.9, 0.975, 0.9995])
def test_t_quantile_is_scipys(probability: float, freedom: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.t.ppf(probability, freedom)
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_t_quantile_from_tables() -> None:
    assert t_quantile(0.975, 1) == pytest.approx(12.7062, abs=1e-4)
    assert t_quantile(0.975, 3) == pytest.approx(3.1824, abs=1e-4)
    assert t_quantile(0.975, 7) == pytest.approx(2.3646, abs=1e-4)
    assert t_quantile(0.025, 7) == -t_quantile(0.975, 7)


@pytest.mark.parametrize(("probability", "freedom"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_t_quantile_refuses(probability: float, freedom: float) -> None:
    with pytest.raises(ValueError, match=r"^no quantile") as caught:
        t_quantile(probability, freedom)
    assert str(caught.value) == f"no quantile {probability} with {freedom} degrees of freedom"


def test_a_fraction_never_divides_by_nothing() -> None:
    assert _nonzero(0.0) == _nonzero(1e-301) == 1e-300
    assert _nonzero(-1e-299) == -1e-299


def test_incomplete_beta_by_hand() -> None:
    # I_x(1, 1) = x and I_x(2, 1) = x^2, on both sides of the symmetry.
    for x in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert incomplete_beta(x, 1, 1) == pytest.approx(x)
        assert incomplete_beta(x, 2, 1) == pytest.approx(x * x)


def test_ratio_is_paired_within_rounds() -> None:
    # The second round ran on a machine twice as slow: the ratio is 4 in each all the same.
    a = {0: (4.0, 4.0, 4.0), 1: (8.0,), 7: (100.0,)}
    b = {0: (1.0,), 1: (2.0, 2.0), 9: (1e-3,)}
    found = intervals.mean_interval(intervals.log_ratios(a, b))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((4.0, 4.0, 4.0))


def test_the_interval_of_paired_ratios_by_hand() -> None:
    # Log ratios 0, log 2, log 4: mean log 2, deviation log 2, t(0.975, 2) = 4.302653.
    a = {0: (1.0,), 1: (2.0,), 2: (4.0,)}
    b = {0: (1.0,), 1: (1.0,), 2: (1.0,)}
    found = intervals.mean_interval(intervals.log_ratios(a, b))
    half = 4.302653 * math.log(2) / math.sqrt(3)
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(2.0 * math.exp(-half), rel=1e-6)
    assert found.high == pytest.approx(2.0 * math.exp(half), rel=1e-6)


def test_fewer_than_two_common_rounds_have_no_interval() -> None:
    assert (
        intervals.mean_interval(
            intervals.log_ratios({0: (1.0,), 1: (1.0,)}, {1: (1.0,), 2: (1.0,)})
        )
        is None
    )
    assert intervals.mean_interval(intervals.log_ratios({}, {})) is None
    assert intervals.independent_interval([[0.0]], [[0.0, 0.0]]) is None


def test_the_statistic_is_that_of_both() -> None:
    # Medians 1 and 2, 95th percentiles 3.7 and 2: of three samples it lies at 0.9 of the last gap.
    a = {0: (1.0, 1.0, 4.0), 1: (1.0, 1.0, 4.0)}
    b = {0: (2.0, 2.0, 2.0), 1: (1.0, 2.0, 5.0)}
    assert intervals.log_ratios(a, b) == pytest.approx([math.log(0.5)] * 2)
    assert intervals.log_ratios(a, b, "p95") == pytest.approx(
        [math.log(3.7 / 2.0), math.log(3.7 / 4.7)]
    )


def test_logarithms_of_what_has_one() -> None:
    values = [math.e, 0.0, 1.0, -1.0, math.inf, math.nan]
    assert intervals.logs(values) == pytest.approx([0.0, 1.0])
    assert intervals.logs([0.5]) == pytest.approx([-math.log(2)])


def test_arithmetic_interval_by_hand() -> None:
    # Mean 2, deviation 1, t(0.975, 2) = 4.302653.
    found = intervals.arithmetic_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)
    assert found is not None
    assert astuple(found) == pytest.approx((2.0, 2.0 - half, 2.0 + half), rel=1e-6)
    assert intervals.arithmetic_interval([1.0]) is None
    assert intervals.arithmetic_interval([1.0, math.inf]) is None
    two = intervals.arithmetic_interval([0.0, 0.0])  # of what may be zero, two are enough
    assert two is not None and astuple(two) == (0.0, 0.0, 0.0)


def test_shares_stay_between_nothing_and_all() -> None:
    found = intervals.share_interval([0.0, 1.0])
    assert found is not None and astuple(found) == (0.5, 0.0, 1.0)
    narrow = intervals.share_interval([0.5, 0.5])
    assert narrow is not None and astuple(narrow) == (0.5, 0.5, 0.5)
    assert intervals.share_interval([0.5]) is None


def test_statistics_of_a_process() -> None:
    samples = tuple(float(number) for number in range(1, 102))  # 1..101: percentile p is 1 + p
    assert intervals.process_statistics({3: samples}, "median") == {3: 51.0}
    assert intervals.process_statistics({3: samples}, "p95") == {3: pytest.approx(96.0)}
    assert intervals.process_statistics({3: samples}, "p99") == {3: pytest.approx(100.0)}


@pytest.mark.parametrize("bad", [math.nan, 0.0, -1.0, math.inf])
def test_processes_that_cannot_be_used_are_left_out_and_named(bad: float) -> None:
    rounds = {0: (1.0, 1.0), 1: (1.0, bad), 2: (), 3: (2.0,)}
    assert intervals.invalid_rounds(rounds) == [1, 2]
    assert intervals.process_statistics(rounds) == {0: 1.0, 3: 2.0}


def test_independent_interval_is_scipys_welch() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 0.02, 5), rng.normal(0.1, 0.05, 9)
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    ours = intervals.independent_interval([list(a)], [list(b)])
    assert ours is not None
    assert math.log(ours.low) == pytest.approx(theirs.low, rel=1e-6)
    assert math.log(ours.high) == pytest.approx(theirs.high, rel=1e-6)


def test_a_wide_spread_does_not_overflow() -> None:
    found = intervals.mean_interval([-600.0, 600.0])
    assert found is not None
    assert 0.0 <= found.low < found.value < found.high < math.inf


def test_equal_groups_need_no_deviation() -> None:
    found = intervals.independent_interval([[math.log(6.0)] * 2, [0.0, 0.0]], [[math.log(2.0)] * 2])
    assert found is not None
    assert astuple(found) == pytest.approx((3.0, 3.0, 3.0))


def test_whole_numbers_are_numbers() -> None:
    found = intervals.independent_interval([[1, 1]], [[0, 0]])
    assert found is not None and found.value == pytest.approx(math.e)


@pytest.mark.thousands
@pytest.mark.parametrize("processes", [4, 8])
def test_coverage_is_near_95_percent(processes: int) -> None:
    rng = np.random.default_rng(7)
    trials, covered = 2000, 0
    for logs in rng.normal(math.log(1.5), 0.03, (trials, processes)):
        found = intervals.mean_interval(list(logs))
        assert found is not None
        covered += found.low <= 1.5 <= found.high
    # Four standard errors of a proportion of 0.95 over 2000 trials are 0.0195.
    assert abs(covered / trials - 0.95) < 0.0195


@pytest.mark.thousands
def test_coverage_between_runs_is_near_95_percent() -> None:
    rng = np.random.default_rng(11)
    trials, covered = 2000, 0
    for _ in range(trials):
        a, b = rng.normal(0.2, 0.01, 4), rng.normal(0.0, 0.03, 6)
        found = intervals.independent_interval([list(a)], [list(b)])
        assert found is not None
        covered += found.low <= math.exp(0.2) <= found.high
    assert abs(covered / trials - 0.95) < 0.0195


def bootstrapped(right: np.ndarray, replicates: int = 1000, seed: int = 3) -> Accuracy:
    picks = np.random.default_rng(seed).integers(0, len(right), (replicates, len(right)))
    values = tuple(float(value) for value in right[picks].mean(axis=1))
    return Accuracy("top1", float(right.mean()), len(right), "d1", values)


def test_difference_covers_the_normal_approximation() -> None:
    # 2000 samples; the variant breaks 40 and mends 20: a loss of 1 point. The standard error of a
    # paired difference is sqrt(60 - 20^2 / 2000) / 2000 = 0.386 points.
    reference = np.ones(2000)
    reference[:100] = 0.0
    variant = reference.copy()
    variant[:20], variant[500:540] = 1.0, 0.0
    found = intervals.difference_interval(bootstrapped(reference), bootstrapped(variant))
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0 - 1.96 * 0.386, abs=0.08)
    assert found.high == pytest.approx(1.0 + 1.96 * 0.386, abs=0.08)


def test_rule_of_three_where_nothing_differed() -> None:
    same = bootstrapped(np.ones(2000))
    found = intervals.difference_interval(same, same)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -0.15, 0.15))


def test_rule_of_three_where_one_sample_differed() -> None:
    other = np.ones(2000)
    other[7] = 0.0
    found = intervals.difference_interval(bootstrapped(np.ones(2000)), bootstrapped(other))
    assert found is not None
    assert found.value == pytest.approx(0.05)
    assert found.low <= 0.05 - 0.15 + 1e-9
    assert found.high >= 0.05 + 0.15 - 1e-9


def test_the_rule_of_three_of_an_absolute_accuracy() -> None:
    # Of one sample nothing is known, of 100 to three hundredths.
    for samples, half in ((100, 0.03), (1, 3.0), (0, 3.0)):
        found = intervals.accuracy_interval(Accuracy("top1", 0.5, samples, "d", (0.5, 0.5)))
        assert found is not None
        assert astuple(found) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    one = Accuracy("top1", 0.5, 1, "d", (0.5, 0.5))
    lost = intervals.difference_interval(one, one)
    assert lost is not None and (lost.low, lost.high) == (-300.0, 300.0)
    nothing = Accuracy("top1", 0.5, 0, "d", (0.5, 0.5))
    lost = intervals.difference_interval(nothing, nothing)
    assert lost is not None and (lost.low, lost.high) == (-300.0, 300.0)


def test_percentiles_of_replicates_are_those_of_95_percent() -> None:
    # 0, 0.001, ..., 1: the percentile p is p / 100.
    replicates = tuple(number / 1000 for number in range(1001))
    found = intervals.accuracy_interval(Accuracy("top1", 0.5, 10_000, "d", replicates))
    assert found is not None
    assert astuple(found) == pytest.approx((0.5, 0.025, 0.975), abs=1e-9)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            Accuracy("map", 0.9, 10, "d1", (0.9, 0.9)),
            "accuracies with another metric: top1 and map; evaluate both on the same samples",
        ),
        (
            Accuracy("top1", 0.9, 20, "d1", (0.9, 0.9)),
            "accuracies with another number of samples: 10 and 20; "
            "evaluate both on the same samples",
        ),
        (
            Accuracy("top1", 0.9, 10, "0123456789abcdef", (0.9, 0.9)),
            "accuracies with another test samples (digest): d1 and 0123456789ab; "
            "evaluate both on the same samples",
        ),
        (
            Accuracy("top1", 0.9, 10, "d1", (0.9,)),
            "accuracies with another number of replicates: 2 and 1; "
            "evaluate both on the same samples",
        ),
    ],
)
def test_only_the_same_samples_are_paired(other: Accuracy, words: str) -> None:
    with pytest.raises(Incomparable) as caught:
        intervals.difference_interval(Accuracy("top1", 0.9, 10, "d1", (0.9, 0.9)), other)
    assert str(caught.value) == words


def test_no_interval_without_numbers() -> None:
    nothing = Accuracy("top1", 0.9, 10, "d1", ())
    assert intervals.difference_interval(nothing, nothing) is None
    for value, replicates in ((math.nan, (0.9, 0.8)), (0.9, (0.9, math.nan)), (0.9, (0.9,))):
        broken = Accuracy("top1", value, 10, "d1", replicates)
        assert intervals.accuracy_interval(broken) is None


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 20, 0.0, 1.0 - 0.025 ** (1 / 20)),
        (20, 20, 0.025 ** (1 / 20), 1.0),
        (19, 20, 0.7513, 0.9987),  # Clopper and Pearson's tables
        (5, 10, 0.1871, 0.8129),
    ],
)
def test_exact_intervals_of_proportions(successes, trials, low, high):
    found = intervals.proportion_interval(successes, trials)
    assert found.value == successes / trials
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_a_share_is_of_some_trials():
    with pytest.raises(ValueError, match="3 of 2 is no share"):
        intervals.proportion_interval(3, 2)
