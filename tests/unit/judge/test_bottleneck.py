"""Which row of a breakdown takes longest, what limits it, and what profiling cost: in numbers."""

from __future__ import annotations

import msgspec
import pytest

from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow, Roofline
from perfsuite.judge.bottleneck import (
    ProfilingCost,
    bottleneck,
    is_overhead,
    profiling_cost,
    without_profiling,
)

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
    assert found.bound.roofline == ROOFS


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


def test_rates_are_those_of_the_rows_own_time() -> None:
    found = bottleneck(call(stage(0.5, 10**9, 2 * 10**9), overhead_s=0.1), ROOFS)
    assert found is not None and found.bound is not None
    assert (found.bound.flops_per_s, found.bound.bytes_per_s) == (4e9, 4e9)


@pytest.mark.parametrize(
    ("macs", "size", "limit"),
    [
        (15 * 10**9 // 2, 10**6, "computation"),  # 0.15 of the roof itself is not idle
        (7 * 10**9, 10**6, "neither"),
        (0, 10**9, "neither"),
        (0, 2 * 10**9, "memory"),
        (10**9, 0, "neither"),
        (1, 0, "neither"),
        (0, 1, "neither"),
    ],
)
def test_the_borders_of_a_bound(macs: int, size: int, limit: str) -> None:
    found = bottleneck(call(stage(1.0, macs, size), overhead_s=0.0), ROOFS)
    assert found is not None and found.bound is not None
    assert found.bound.limit == limit


def test_what_neither_computes_nor_moves_has_no_bound() -> None:
    found = bottleneck(call(stage(1.0, 0, 0), overhead_s=0.0), ROOFS)
    assert found is not None and found.bound is None


def test_without_a_row_that_takes_time_there_is_no_bottleneck() -> None:
    assert bottleneck(Breakdown(1.0, 1, ()), ROOFS) is None
    assert bottleneck(call(stage(0.0, 1, 1), overhead_s=0.0), ROOFS) is None
    assert profiling_cost(Breakdown(1.0, 1, ()), None).kernels == 0


def test_a_row_without_kernels_has_no_slowest() -> None:
    alone = BreakdownRow("a", "stage", 1.0, 10**10, 0, 10**9)
    found = bottleneck(call(alone, overhead_s=0.0), ROOFS)
    assert found is not None
    assert (found.slowest, found.operators) == (None, 0)


def test_engine_overhead_that_stays_the_longest_has_no_bound() -> None:
    rest = BreakdownRow(OVERHEAD, "rest", 0.8, 10**10, 0, 10**9)
    for untraced_s, latency_s in ((0.9, None), (None, None), (None, 0.99), (0.99, 0.3)):
        one = Breakdown(1.0, 10, (stage(0.2, 0, 0), rest), untraced_s=untraced_s)
        found = bottleneck(one, ROOFS, latency_s)
        assert found is not None
        assert (found.row, found.total_s, found.profiling_s) == (rest, 1.0, 0.0)
        assert (found.bound, found.slowest) == (None, None)


def test_an_older_breakdown_is_held_against_the_latency() -> None:
    one = call(stage(0.2, 0, 0), overhead_s=0.8)
    found = bottleneck(one, ROOFS, 0.3)
    assert found is not None
    assert (found.row.name, found.profiling_s) == ("a", pytest.approx(0.7))
    newer = bottleneck(call(stage(0.2, 0, 0), overhead_s=0.8, untraced_s=0.35), ROOFS, 0.3)
    assert newer is not None
    assert newer.profiling_s == pytest.approx(0.65)  # its own process knows better


def test_a_stage_that_is_the_longest_keeps_what_profiling_cost() -> None:
    found = bottleneck(call(stage(0.6, 0, 0), overhead_s=0.4, untraced_s=0.7), ROOFS)
    assert found is not None
    assert (found.row.name, found.total_s, found.profiling_s) == ("a", 1.0, 0.0)


def test_profiling_costs_no_more_than_the_overhead() -> None:
    one = call(stage(0.4, 0, 0), overhead_s=0.6, untraced_s=0.1)
    left = without_profiling(one)
    assert left.rows[-1].time_s == pytest.approx(0.0)
    assert left.total_s == pytest.approx(0.4)
    found = bottleneck(one, ROOFS)
    assert found is not None and found.profiling_s == pytest.approx(0.6)
    assert without_profiling(call(stage(0.4, 0, 0), overhead_s=0.6)).total_s == 1.0


def test_a_stage_may_have_the_name_of_the_rest() -> None:
    named = BreakdownRow(OVERHEAD, "stage", 0.6)
    rest = BreakdownRow("unattributed", "rest", 0.3)
    assert [is_overhead(one) for one in (named, rest)] == [False, False]
    assert is_overhead(BreakdownRow(OVERHEAD, "rest", 0.1))


def test_three_hundredths_themselves_are_noise() -> None:
    one = Breakdown(100.0, 10, (stage(60.0, 0, 0),), untraced_s=97.0)
    assert profiling_cost(one, None).cost_s == 0.0
    assert profiling_cost(msgspec.structs.replace(one, untraced_s=96.0), None).cost_s == 4.0


def test_all_that_is_told_of_what_profiling_cost() -> None:
    idle = BreakdownRow("a/Idle", "operator", 0.0)
    between = BreakdownRow("a/b/python_2", "operator", 0.05)
    first = BreakdownRow("python", "operator", 0.05)
    above = BreakdownRow("python/Conv_1", "operator", 0.1)
    row = BreakdownRow("a", "stage", 0.8, children=(CONV, RELU, idle, between, first, above))
    cost = profiling_cost(call(row, overhead_s=0.2, untraced_s=0.5), 0.4)
    assert cost == ProfilingCost(1.0, 10, 0.5, pytest.approx(0.5), 3, 0.4)  # type: ignore[arg-type]


def test_python_between_operators_is_what_profiling_cannot_have_cost() -> None:
    between = [BreakdownRow(f"{name}/python_1", "operator", 0.2) for name in ("a", "b")]
    rows = [BreakdownRow(one.name[0], "stage", 0.4, children=(CONV, one)) for one in between]
    assert [
        found.python_s
        for untraced_s in (None, 0.9, 0.3)
        if (found := bottleneck(call(*rows, overhead_s=0.2, untraced_s=untraced_s), None))
    ] == [0.4, pytest.approx(0.3), 0.0]
