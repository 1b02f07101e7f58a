"""Which row of a breakdown takes longest, what limits it, and what profiling cost: in numbers."""

from __future__ import annotations

import pytest

from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow, Roofline
from perfsuite.judge.bottleneck import bottleneck, profiling_cost, without_profiling

ROOFS = Roofline(flops_per_s=100e9, bytes_per_s=10e9, threads=2, precision="fp32")
CONV = BreakdownRow("a/Conv", "operator", 0.5)
RELU = BreakdownRow("a/Relu", "operator", 0.1)


def stage(time_s: float, macs: int | None, size: int | None) -> BreakdownRow:
    return BreakdownRow("a", "stage", time_s, macs, 0, size, (CONV, RELU))


def call(*rows: BreakdownRow, overhead_s: float, untraced_s: float | None = None) -> Breakdown:
    rest = BreakdownRow(OVERHEAD, "rest", overhead_s)
    total_s = sum(row.time_s for row in rows) + overhead_s
    return Breakdown(total_s, 10, (*rows, rest), untraced_s=untraced_s)


def test_the_longest_row_and_its_slowest_kernel() -> None:
    row = stage(0.6, None, None)
    found = bottleneck(call(row, overhead_s=0.4), None)
    assert found is not None
    assert (found.row, found.total_s, found.profiling_s) == (row, 1.0, 0.0)
    assert (found.slowest, found.operators) == (CONV, 2)
    assert found.bound is None


@pytest.mark.parametrize(
    ("macs", "size", "limit", "intensity"),
    [
        (40 * 10**9, 10**9, "computation", 80.0),
        (8 * 10**9, 8 * 10**9, "memory", 2.0),
        (5 * 10**9, 10**9, "neither", 10.0),  # a tenth of both roofs
        (5 * 10**9, 0, "neither", None),
        (50 * 10**9, 0, "computation", None),
        (None, 10**9, "unknown", None),
        (10**9, None, "unknown", None),
    ],
)
def test_what_limits_a_row(
    macs: int | None, size: int | None, limit: str, intensity: float | None
) -> None:
    found = bottleneck(call(stage(1.0, macs, size), overhead_s=0.0), ROOFS)
    assert found is not None
    assert found.bound is not None
    assert (found.bound.limit, found.bound.intensity, found.bound.ridge) == (limit, intensity, 10.0)
    assert found.bound.flops_per_s == (None if macs is None else 2.0 * macs)
    assert found.bound.bytes_per_s == size


def test_the_ridge_itself_is_computation() -> None:
    found = bottleneck(call(stage(1.0, 25 * 10**9, 5 * 10**9), overhead_s=0.0), ROOFS)
    assert found is not None
    assert found.bound is not None
    assert found.bound.limit == "computation"  # 50 GFLOP over 5 GB: 10 FLOP a byte


def test_what_profiling_cost_is_left_out() -> None:
    found = bottleneck(call(stage(0.2, 0, 0), overhead_s=0.8, untraced_s=0.25), ROOFS)
    assert found is not None
    assert found.profiling_s == pytest.approx(0.75)
    assert found.total_s == pytest.approx(0.25)
    assert found.row.name == "a"


def test_less_than_three_hundredths_of_a_call_cannot_be_told_from_noise() -> None:
    one = call(stage(0.6, 0, 0), overhead_s=0.4, untraced_s=0.98)
    cost = profiling_cost(one, 0.9)
    assert (cost.cost_s, cost.untraced_s, cost.kernels, cost.calls) == (0.0, 0.98, 2, 10)
    assert without_profiling(one) == one
    dear = call(stage(0.6, 0, 0), overhead_s=0.4, untraced_s=0.96)
    assert profiling_cost(dear, None).cost_s == pytest.approx(0.04)
    assert without_profiling(dear).total_s == pytest.approx(0.96)
    assert profiling_cost(call(stage(0.6, 0, 0), overhead_s=0.4), 0.9).cost_s is None
