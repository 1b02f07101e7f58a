"""What bounds the speed of a net, by hand."""

from __future__ import annotations

from typing import Literal

import pytest
from judged_runs import EAGER, INT8, record

from perfsuite.domain.cell import Cell
from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow
from perfsuite.domain.record import Record
from perfsuite.judge.amdahl import speed_bound

PRUNED = Cell("vgg", "prune", "openvino")


def measured(cell: Cell, latency_s: float, **rows_s: float) -> Record:
    """A cell with a breakdown into these rows; `overhead` is that of the engine."""
    rows = tuple(row(name, time_s) for name, time_s in rows_s.items())
    breakdown = Breakdown(sum(rows_s.values()), 10, rows)
    return record(cell, latency_s, latency_s, breakdown=breakdown)


def row(name: str, time_s: float) -> BreakdownRow:
    level: Literal["stage", "rest"] = "rest" if name == "overhead" else "stage"
    return BreakdownRow(OVERHEAD if name == "overhead" else name, level, time_s)


def test_the_stage_that_nothing_shrinks_bounds_the_speed() -> None:
    reference = measured(EAGER, 0.012, body=0.010, head=0.002)
    rounded = measured(INT8, 0.003, body=0.001, head=0.002)
    pruned = measured(PRUNED, 0.004, body=0.0022, head=0.0018)
    found = speed_bound(reference, [rounded, pruned])
    assert found is not None
    # The body takes 1 ms at least, in INT8, and the head 1.8 ms, pruned: 12 ms / 1.8 ms.
    assert (found.stage, found.key) == ("head", PRUNED.key)
    assert found.speedup == pytest.approx(12.0 / 1.8)


def test_shares_of_a_profiled_call_are_shares_of_the_latency() -> None:
    reference = measured(EAGER, 0.012, body=0.012)
    profiled = measured(INT8, 0.003, body=0.004, head=0.002)  # the call took twice as long
    found = speed_bound(reference, [profiled])
    assert found is not None
    assert found.time_s == pytest.approx(0.002)


def test_a_stage_that_was_removed_bounds_nothing() -> None:
    reference = measured(EAGER, 0.012, body=0.010, head=0.002)
    without = measured(PRUNED, 0.001, body=0.001)
    rounded = measured(INT8, 0.003, body=0.001, head=0.002)
    found = speed_bound(reference, [rounded, without])
    assert found is not None
    assert found.stage == "body"


def test_the_overhead_of_the_engine_bounds_too() -> None:
    reference = measured(EAGER, 0.012, body=0.010, overhead=0.002)
    found = speed_bound(reference, [measured(INT8, 0.002, body=0.0005, overhead=0.0015)])
    assert found is not None
    assert found.stage == OVERHEAD


def test_nets_that_share_no_stage_are_left_out() -> None:
    reference = measured(EAGER, 0.012, body=0.010, overhead=0.002)
    student = measured(PRUNED, 0.001, layers=0.0008, overhead=0.0002)
    assert speed_bound(reference, [student]) is None
    assert speed_bound(reference, []) is None
    assert speed_bound(record(EAGER, 0.01, 0.01), [record(INT8, 0.01, 0.01)]) is None
