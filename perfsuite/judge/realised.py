"""Theoretical and measured speed-ups of compressed cells, and why one is not proven faster."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import (
    Cause,
    LittleComputes,
    MacsNotFewer,
    NotFaster,
    OnlySimulated,
    Pace,
    ProcessesDiffer,
    RowTooSlow,
)
from perfsuite.domain.metrics import MACS
from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.judge.bottleneck import without_profiling
from perfsuite.judge.references import parent_cell


class Gain(msgspec.Struct, frozen=True):
    """The gain of a compressed cell over its parent, the cell that it was made from.

    Ratios are the parent's / its own: `macs_ratio` is the theoretical speed-up, `speedup` the
    measured one, `realised` their quotient, which is None unless there are fewer MACs. Unknown
    values are None. Both need all their MACs counted: `uncounted` are the operators of either that
    have no formula. `cause` is the reason, if known, why the cell is not proven faster.
    """

    parent: str  # the key
    recipe: str  # the parent's, with its engine if that is another
    macs_ratio: float | None = None
    parameters_ratio: float | None = None
    speedup: Interval | None = None
    realised: Interval | None = None
    loss_points: Interval | None = None
    pace: Pace | None = None
    uncounted: tuple[str, ...] = ()
    cause: Cause | None = None


def gain(run: Run, cell: Cell) -> Gain | None:
    """Return the gain of `cell` over its parent; None if either is missing or not ok."""
    parent, record = parent_cell(run, cell), run.records.get(cell.id)
    if parent is None or record is None or record.status != "ok":
        return None
    before, same_engine = run.records[parent.id], parent.runtime == cell.runtime
    speedup = metrics.ratio(before, record, "latency_s", "median")
    macs_ratio = metrics.counted_ratio(before, record, MACS)
    pace = _pace(speedup)
    doubted = speedup if pace != "faster" else None
    return Gain(
        parent=parent.key,
        recipe=parent.recipe + ("" if same_engine else f"/{parent.runtime}"),
        macs_ratio=macs_ratio,
        parameters_ratio=metrics.counted_ratio(before, record, "parameters"),
        speedup=speedup,
        realised=realised(speedup, macs_ratio),
        loss_points=metrics.known_loss(before, record),
        pace=pace,
        uncounted=metrics.uncounted(record, MACS) or metrics.uncounted(before, MACS),
        cause=cause(before, record, doubted) if doubted else None,
    )


def realised(speedup: Interval | None, macs_ratio: float | None) -> Interval | None:
    """Return measured / theoretical speed-up; None unless there are fewer MACs.

    MACs are counted exactly, so the width of the interval is that of the measured times.
    """
    if speedup is None or macs_ratio is None or macs_ratio <= 1.0:
        return None
    return Interval(*(one / macs_ratio for one in (speedup.value, speedup.low, speedup.high)))


def unproven(run: Run) -> list[NotFaster]:
    """Return each compressed cell that is not proven faster than its parent."""
    return [
        NotFaster(cell.key, one.parent, one.pace, one.speedup, one.cause)
        for cell in run.header.cells
        if (one := gain(run, cell)) is not None
        and one.speedup is not None
        and one.pace is not None
        and one.pace != "faster"
    ]


def _pace(speedup: Interval | None) -> Pace | None:
    if speedup is None:
        return None
    if speedup.low > 1.0:
        return "faster"
    return "slower" if speedup.high < 1.0 else "not proven faster"


FEWER = 1.05  # the ratio of MACs from which on they count as fewer
_WIDE = 1.1  # high / low of a speed-up
_MEASURABLE = 0.03  # of the parent's call; less is noise
_MOST = 0.5  # of a call; or of a row's missing time, for naming a row inside it instead


def cause(parent: Record, record: Record, speedup: Interval) -> Cause | None:
    """Return why `record` is not proven faster than `parent`; None if it is not known.

    The first that holds: it is only simulated; its MACs have hardly changed; its processes differ
    too much to tell; a row of the breakdown takes longer than the parent's; most of the call has no
    MACs that could become fewer; a row has fewer MACs and takes no less time. The rows are those of
    the profiled calls, in which what profiling cost is left out as far as it is known.
    """
    if "simulated" in record.labels:
        return OnlySimulated()
    macs_ratio = metrics.counted_ratio(parent, record, MACS)
    if macs_ratio is not None and _little_to_gain(parent, record, macs_ratio):
        return MacsNotFewer(macs_ratio)
    if speedup.high >= 1.0 and speedup.high / speedup.low > _WIDE:
        return _processes(parent, record)
    if parent.breakdown is None or record.breakdown is None:
        return None
    before, now = without_profiling(parent.breakdown), without_profiling(record.breakdown)
    late = _late(before, now)
    if late is not None and late.now_s - late.before_s > _MEASURABLE * before.total_s:
        return _too_slow(late)
    fewer = macs_ratio is not None and macs_ratio >= FEWER
    if fewer and (idle := _without_macs(now)) >= _MOST:
        return LittleComputes(idle, _without_macs(before))
    return None if late is None else _too_slow(late)


def _little_to_gain(parent: Record, record: Record, macs_ratio: float) -> bool:
    """Tell whether fewer MACs could gain little; False if neither MACs nor parameters changed.

    A variant with the same MACs and parameters, such as INT8, gains by other kernels.
    """
    same = macs_ratio == 1.0 and metrics.counted_ratio(parent, record, "parameters") == 1.0
    return macs_ratio < FEWER and not same


def _processes(parent: Record, record: Record) -> ProcessesDiffer:
    ratios = [math.exp(one) for one in metrics.log_ratios(parent, record)]
    return ProcessesDiffer(len(ratios), min(ratios), max(ratios))


def _too_slow(late: _Late) -> RowTooSlow:
    return RowTooSlow(late.name, late.before_s, late.now_s, late.macs_ratio)


class _Late(NamedTuple):
    """A row that takes `missing_s` longer than its MACs promise."""

    name: str
    before_s: float  # 0 for what the parent does not have
    now_s: float
    macs_ratio: float  # the parent's / its own, 1 where they are not known
    missing_s: float


def _late(before: Breakdown, now: Breakdown) -> _Late | None:
    """Return the row that takes the most time beyond what its MACs promise, if it is measurable.

    It is a stage or the time outside of stages or, if one module has the larger part of that time,
    the module. Operators are not compared, because engines name them differently each time.
    """
    found: _Late | None = None
    olds, news = before.rows, now.rows
    while True:
        # A module that the parent lacks is part of a replacement; the replaced row is named.
        rows = [one for one in _compared(olds, news) if found is None or one.before_s]
        inner = max(rows, key=lambda one: one.missing_s, default=None)
        least_s = _MEASURABLE * before.total_s if found is None else _MOST * found.missing_s
        if inner is None or inner.missing_s <= least_s:
            return found
        found = inner
        olds, news = _children(olds, found.name), _children(news, found.name)


def _compared(olds: tuple[BreakdownRow, ...], news: tuple[BreakdownRow, ...]) -> Iterator[_Late]:
    known = {row.name: row for row in olds}
    for row in news:
        if row.level == "operator":
            continue
        old = known.get(row.name)
        if old is None:
            yield _Late(row.name, 0.0, row.time_s, 1.0, row.time_s)
            continue
        ratio = old.macs / row.macs if old.macs and row.macs else 1.0
        promised_s = old.time_s / max(ratio, 1.0)
        yield _Late(row.name, old.time_s, row.time_s, ratio, row.time_s - promised_s)


def _children(rows: tuple[BreakdownRow, ...], name: str) -> tuple[BreakdownRow, ...]:
    return next((row.children for row in rows if row.name == name), ())


def _without_macs(breakdown: Breakdown) -> float:
    """Return the share of the call that is engine overhead and operators known to have no MACs."""
    idle_s = sum(one.time_s for row in breakdown.rows for one in _idle(row))
    return idle_s / breakdown.total_s if breakdown.total_s > 0 else 0.0


def _idle(row: BreakdownRow) -> Iterator[BreakdownRow]:
    """Yield the rows without children that have no MACs: operators, and the engine overhead."""
    if not row.children and (row.macs == 0 or (row.level == "rest" and row.name == OVERHEAD)):
        yield row
    for child in row.children:
        yield from _idle(child)
