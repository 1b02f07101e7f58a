"""At which numbers which cause is named for what is not proven faster."""

from __future__ import annotations

import pytest
from judged_runs import EAGER, INT8, record

from perfsuite.domain.judgement import LittleComputes, MacsNotFewer, ProcessesDiffer, RowTooSlow
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.record import Record
from perfsuite.domain.verdict import Interval
from perfsuite.judge.realised import cause

SURE = Interval(1.0, 1.0, 1.0)


def call(body_s: float, macs: int | None, overhead_s: float = 0.0) -> Breakdown:
    rows = (
        BreakdownRow("body", "stage", body_s, macs),
        BreakdownRow(OVERHEAD, "rest", overhead_s),
    )
    return Breakdown(body_s + overhead_s, 8, rows)


def pair(
    macs: float, before: Breakdown | None = None, after: Breakdown | None = None
) -> tuple[Record, Record]:
    """Return a parent of 210 MACs and a variant."""
    counts = {"macs": (210.0,), "parameters": (40.0,)}
    parent = record(EAGER, 0.1, 0.1, values=counts, breakdown=before)
    variant = record(
        INT8, 0.1, 0.1, values={"macs": (macs,), "parameters": (20.0,)}, breakdown=after
    )
    return parent, variant


@pytest.mark.parametrize(("macs", "fewer"), [(200.0, True), (200.5, False), (420.0, False)])
def test_a_twentieth_fewer_macs_are_fewer(macs: float, fewer: bool) -> None:
    found = cause(*pair(macs), SURE)
    assert found == (None if fewer else MacsNotFewer(210.0 / macs))


@pytest.mark.parametrize(
    ("low", "high", "differ"),
    [
        (1.0, 1.1, False),  # just as wide as is allowed
        (1.0, 1.125, True),
        (0.875, 1.0, True),
        (0.75, 0.984375, False),  # all of it is slower: this is no matter of processes
        (0.9375, 1.0, False),
    ],
)
def test_how_wide_an_interval_may_be(low: float, high: float, differ: bool) -> None:
    found = cause(*pair(100.0), Interval(1.0, low, high))
    assert isinstance(found, ProcessesDiffer) == differ
    assert found is None or found == ProcessesDiffer(2, 1.0, 1.0)


def test_both_breakdowns_are_needed() -> None:
    one = call(1.0, 100)
    assert cause(*pair(100.0, one, None), SURE) is None
    assert cause(*pair(100.0, None, one), SURE) is None


@pytest.mark.parametrize(("body_s", "grew"), [(86.0, False), (87.0, True)])
def test_a_row_that_grew_comes_before_what_has_no_macs(body_s: float, grew: bool) -> None:
    before, after = call(80.0, 100, overhead_s=120.0), call(body_s, 50, overhead_s=120.0)
    found = cause(*pair(100.0, before, after), SURE)  # three hundredths of 200 are noise
    if grew:
        assert found == RowTooSlow("body", 80.0, 87.0, 2.0)
    else:
        assert found == LittleComputes(120.0 / 206.0, 0.6)


@pytest.mark.parametrize(("overhead_s", "little"), [(50.0, True), (49.0, False)])
def test_half_a_call_without_macs_is_most_of_it(overhead_s: float, little: bool) -> None:
    before = call(100.0 - overhead_s, 100, overhead_s)
    found = cause(*pair(100.0, before, before), SURE)
    assert isinstance(found, LittleComputes) == little
    if little:
        assert found == LittleComputes(0.5, 0.5)
        assert cause(*pair(200.0, before, before), SURE) == found  # a twentieth fewer are fewer
    # What no row of the model tells of is not known to have none.
    strange = Breakdown(100.0, 8, (BreakdownRow(UNATTRIBUTED, "rest", 100.0),))
    assert cause(*pair(100.0, strange, strange), SURE) is None
    # Without fewer MACs it is no cause that most of the call has none.
    same = record(INT8, 0.1, 0.1, breakdown=before)
    assert cause(record(EAGER, 0.1, 0.1, breakdown=before), same, SURE) is None
