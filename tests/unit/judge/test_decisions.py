"""What an interval decides of a change, a budget and a pace, and what stays open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfsuite.domain.verdict import Interval, VerdictStatus
from perfsuite.judge.decisions import (
    believed,
    change_decided,
    change_verdict,
    pace_decided,
)

FLOOR = 0.03


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (-0.02, 0.029, "pass"),
        (-0.02, 0.03, "pass"),  # within the floor
        (0.005, 0.025, "pass"),  # surely slower, surely by less than what is worth finding
        (-0.20, -0.10, "pass"),
        (0.0, FLOOR + 1e-9, "pass"),  # rounding
        (1e-9, 0.04, None),
        (0.001, 0.040, "regressed"),
        (0.040, 0.060, "regressed"),
        (-0.001, 0.031, None),
        (-0.10, 0.20, None),
    ],
)
def test_change_decided(low: float, high: float, status: VerdictStatus | None) -> None:
    estimate = Interval((low + high) / 2.0, low, high)
    assert change_decided(estimate, FLOOR) == status
    if status is not None:
        assert change_verdict(estimate, FLOOR) == status


@pytest.mark.parametrize(
    ("value", "low", "high", "status"),
    [
        (0.0, -0.035, 0.035, "pass"),  # open, but far below twice the floor
        (0.03, -0.001, 0.06, "pass"),
        (FLOOR + 1e-9, -0.001, 0.06, "pass"),  # rounding, as in the next
        (0.0, -0.001, 2.0 * FLOOR + 1e-9, "pass"),
        (0.031, -0.001, 0.06, "inconclusive"),
        (0.0, -0.07, 0.07, "inconclusive"),  # so noisy that it would hide 5 %
    ],
)
def test_change_at_the_end(value: float, low: float, high: float, status: VerdictStatus) -> None:
    estimate = Interval(value, low, high)
    assert change_decided(estimate, FLOOR) is None
    assert change_verdict(estimate, FLOOR) == status


@given(st.floats(-0.5, 0.5), st.floats(0.0, 0.5))
def test_what_regressed_is_estimated_at_half_the_floor_or_more(value: float, half: float) -> None:
    estimate = Interval(value, value - half, value + half)
    if change_decided(estimate, FLOOR) == "regressed":
        assert value >= FLOOR / 2.0
    # Swapped sides are never red at once.
    swapped = Interval(-value, -value - half, -value + half)
    statuses = {change_verdict(estimate, FLOOR), change_verdict(swapped, FLOOR)}
    assert statuses != {"regressed"}


@pytest.mark.parametrize(
    ("first", "again", "status"),
    [
        ("regressed", "regressed", "regressed"),
        ("regressed", "pass", "pass"),
        ("regressed", "inconclusive", "inconclusive"),
        ("pass", "regressed", "pass"),
        ("inconclusive", "pass", "inconclusive"),
    ],
)
def test_red_is_believed_when_it_is_found_twice(
    first: VerdictStatus, again: VerdictStatus, status: VerdictStatus
) -> None:
    assert believed(first, again) == status


@pytest.mark.parametrize(
    ("low", "high", "decided"),
    [
        (1.001, 1.5, True),  # faster
        (0.8, 0.99, True),  # slower
        (0.98, 1.02, True),  # not faster by what is worth finding
        (0.98, 1.03, False),
        (0.98, 1.031, False),
        (1.0, 1.2, False),
    ],
)
def test_pace_decided(low: float, high: float, decided: bool) -> None:
    assert pace_decided(Interval((low + high) / 2.0, low, high), FLOOR) is decided
