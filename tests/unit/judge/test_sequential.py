"""Intervals that are looked at again and again: by hand, against SciPy, and in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sequential_intervals import sequential_interval

from perfsuite.domain.looks import Looks
from perfsuite.judge.intervals import mean_interval
from perfsuite.judge.sequential import (
    critical_value,
    levels,
    look_confidence,
    rounds_needed,
)
from perfsuite.judge.t_distribution import t_quantile

LOOKS = Looks()
PLANS = [LOOKS, Looks(4, 8), Looks(2, 12), Looks(6, 40), Looks(5, 5)]
LOG_RATIOS = st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=24)


@pytest.mark.parametrize(("first", "most"), [(1, 24), (0, 3), (5, 4)])
def test_a_plan_without_a_look_is_refused(first: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"after {first} rounds, the last after {most}"):
        Looks(first, most)


def test_the_first_look_spends_by_hand() -> None:
    # A sixth of the rounds: 0.038 * (4 / 24) ** 1.5 = 0.0025856, all at the one look so far.
    assert look_confidence(LOOKS, 4) == pytest.approx(1.0 - 0.0025856, abs=1e-7)
    # A single look spends everything: t(1 - 0.038 / 2, 4 degrees of freedom).
    assert look_confidence(Looks(5, 5), 5) == pytest.approx(1.0 - 0.038)
    assert critical_value(Looks(5, 5), 5) == pytest.approx(t_quantile(0.981, 4), rel=1e-9)


def test_interval_by_hand() -> None:
    # Log ratios -log 2, 0, 0, log 2: mean 0, deviation log 2 * sqrt(2 / 3).
    found = sequential_interval([-math.log(2.0), 0.0, 0.0, math.log(2.0)], LOOKS)
    half = t_quantile(1.0 - 0.0025856 / 2.0, 3) * math.log(2.0) * math.sqrt(2.0 / 3.0) / 2.0
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert math.log(found.high) == pytest.approx(half, rel=1e-4)
    assert math.log(found.low) == pytest.approx(-half, rel=1e-4)


def test_critical_values_stay() -> None:
    # Of stored runs, whose verdicts follow from them.
    assert [round(critical_value(LOOKS, rounds), 3) for rounds in (4, 5, 8, 12, 24)] == [
        9.356,
        7.166,
        4.384,
        3.439,
        2.613,
    ]


def test_second_boundary_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = (
        stats.norm.isf(level / 2.0) for level in levels(Looks(2, 3), lambda share: 0.05 * share)
    )
    # Two standardized sums, of 2 and of 3 values.
    correlation = math.sqrt(2.0 / 3.0)
    both = stats.multivariate_normal(cov=[[1.0, correlation], [correlation, 1.0]])
    inside = both.cdf([first, second], lower_limit=[-first, -second])
    assert 2.0 * stats.norm.sf(first) == pytest.approx(0.05 * 2.0 / 3.0)
    assert 1.0 - inside == pytest.approx(0.05, abs=1e-5)


def test_normal_values_cross_as_often_as_error_is_spent() -> None:
    scores = np.sqrt(2.0) * np.array([_inverse_erfc(one) for one in levels(LOOKS, _linear)])
    sums = np.cumsum(np.random.default_rng(1).normal(size=(50_000, 24)), axis=1)[:, 3:]
    crossed = np.abs(sums) > scores * np.sqrt(np.arange(4, 25))
    # Four standard errors of the simulation are 0.004.
    assert crossed.any(axis=1).mean() == pytest.approx(0.05, abs=0.004)
    assert crossed[:, :9].any(axis=1).mean() == pytest.approx(0.025, abs=0.003)  # half the rounds


def _linear(share: float) -> float:
    return 0.05 * share


def _inverse_erfc(value: float) -> float:
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if math.erfc(middle) > value else (low, middle)
    return low


@pytest.mark.parametrize("looks", PLANS)
def test_holds_at_all_looks_together(looks: Looks) -> None:
    rounds = np.arange(looks.first, looks.most + 1)
    values = np.random.default_rng(2).normal(size=(10_000, looks.most))
    sums = np.cumsum(values, axis=1)[:, rounds - 1]
    squares = np.cumsum(values**2, axis=1)[:, rounds - 1]
    errors = np.sqrt((squares - sums**2 / rounds) / (rounds - 1) / rounds)
    critical = np.array([critical_value(looks, int(one)) for one in rounds])
    missed = (np.abs(sums / rounds) > critical * errors).any(axis=1).mean()
    # 0.038 with a single look, where t is exact; up to 0.045 with many.
    assert 0.03 < missed < 0.05


@given(LOG_RATIOS)
def test_is_never_narrower_than_the_plain_interval(values: list[float]) -> None:
    ours, plain = sequential_interval(values, LOOKS), mean_interval(values)
    assert ours is not None
    assert plain is not None
    assert ours.value == plain.value
    assert ours.low <= plain.low <= plain.high <= ours.high


@given(LOG_RATIOS)
def test_is_symmetric_under_swapping_the_sides(values: list[float]) -> None:
    one = sequential_interval(values, LOOKS)
    other = sequential_interval([-value for value in values], LOOKS)
    assert one is not None
    assert other is not None
    assert (one.value, one.low, one.high) == pytest.approx(
        (1.0 / other.value, 1.0 / other.high, 1.0 / other.low)
    )


@pytest.mark.parametrize("looks", PLANS)
def test_is_narrower_with_more_rounds_of_the_same_spread(looks: Looks) -> None:
    widths = [
        critical_value(looks, rounds) / math.sqrt(rounds)
        for rounds in range(looks.first, looks.most + 1)
    ]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == len(widths)


def test_before_the_first_look_and_without_a_spread() -> None:
    assert sequential_interval([], LOOKS) is None
    assert sequential_interval([0.1], LOOKS) is None
    assert look_confidence(LOOKS, 2) == look_confidence(LOOKS, 4)
    same = sequential_interval([0.1, 0.1], LOOKS)
    assert same is not None
    assert same.low == same.high == pytest.approx(math.exp(0.1))


def test_more_rounds_than_planned_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="9 rounds of a plan that ends after 8"):
        sequential_interval([0.1] * 9, Looks(4, 8))


def test_rounds_needed() -> None:
    # Four log ratios deviate by 0.02: their interval reaches 9.356 * 0.02 / 2 = 0.0936 to a side.
    # After 7 rounds it would be 4.890 * 0.02 / sqrt(7) = 0.0370, after 8 4.384 * 0.02 / sqrt(8).
    assert rounds_needed(0.0936, 4, 0.0371, LOOKS) == 7
    assert rounds_needed(0.0936, 4, 0.0311, LOOKS) == 8
    assert rounds_needed(0.0936, 4, 1.0, LOOKS) == 4
    assert rounds_needed(0.0936, 4, 0.001, LOOKS) is None
    assert rounds_needed(0.0, 10, 0.001, LOOKS) == 10
    assert rounds_needed(0.1, 1, 1.0, LOOKS) is None


def test_two_rounds_are_enough_to_forecast() -> None:
    assert rounds_needed(0.0, 2, 0.0, LOOKS) == 4  # without a spread, at the first look
    deviation = 0.03 * math.sqrt(2.0)  # of the log ratios -0.03 and 0.03
    reach = critical_value(LOOKS, 2) * deviation / math.sqrt(2.0)
    needed = rounds_needed(reach, 2, 0.03, LOOKS)
    assert needed is not None and needed > 4
    # In the last round of the plan, if that is what it takes.
    last = critical_value(LOOKS, 24) * deviation / math.sqrt(24)
    assert rounds_needed(reach, 2, last * 1.0000001, LOOKS) == 24
    assert rounds_needed(reach, 2, last * 0.9999999, LOOKS) is None
