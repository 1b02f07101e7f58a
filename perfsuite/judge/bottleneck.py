"""What holds a model back, and what it cost to find out."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.profile import OVERHEAD, PYTHON, Breakdown, BreakdownRow, Roofline

_IDLE = 0.15  # of both roofs: below, neither is what limits
_MEASURABLE = 0.03  # of a profiled call: less, as for regressions, is lost in noise

Limit = Literal["computation", "memory", "neither", "unknown"]


class Bound(msgspec.Struct, frozen=True):
    """What limits a row: `limit`, and what the row reaches of each roof.

    It is `unknown` where its MACs or its bytes are not all counted; what is not is None. The
    `intensity` is in FLOP a byte, None without any bytes; above `ridge` computation limits.
    """

    limit: Limit
    roofline: Roofline
    ridge: float
    intensity: float | None = None
    flops_per_s: float | None = None
    bytes_per_s: float | None = None


class Bottleneck(msgspec.Struct, frozen=True):
    """The row of a breakdown that takes longest, of a call of `total_s`.

    `profiling_s` is what profiling cost, where that is left out of both. `slowest` is the slowest
    of the row's `operators` kernels, if it has any. `bound` is None where it cannot be asked for.
    """

    row: BreakdownRow
    total_s: float
    profiling_s: float = 0.0
    operators: int = 0
    slowest: BreakdownRow | None = None
    bound: Bound | None = None


class ProfilingCost(msgspec.Struct, frozen=True):
    """What a profiled call takes (`total_s`, the mean of `calls`), and what of it profiling cost.

    `untraced_s` is what the same process takes without profiling and `cost_s` the difference, 0
    where it is too little to be told from noise; both are None for a breakdown of an older run.
    `kernels` is the number of those that took time. `latency_s` is that of the measured processes.
    """

    total_s: float
    calls: int
    untraced_s: float | None
    cost_s: float | None
    kernels: int
    latency_s: float | None


def bottleneck(
    breakdown: Breakdown, roofline: Roofline | None, latency_s: float | None = None
) -> Bottleneck | None:
    """Return which row takes longest, and what it is bound by; None where no time was taken.

    The bound follows from its MACs and bytes and the roofline (Williams, Waterman and Patterson
    2009).

    Engines note times between kernels: where that is what makes the engine overhead the longest
    row, it is taken off. `latency_s` is that of unprofiled calls in other processes, for a
    breakdown of an older run, which knows none of its own.
    """
    longest, profiling_s = _longest(breakdown), 0.0
    if longest is None:
        return None
    unprofiled_s = latency_s if breakdown.untraced_s is None else breakdown.untraced_s
    if is_overhead(longest) and unprofiled_s is not None:
        cost_s = min(_cost_s(breakdown, unprofiled_s), longest.time_s)
        rest = _without(breakdown, cost_s)
        if cost_s > 0 and (real := _longest(rest)) is not None and not is_overhead(real):
            breakdown, longest, profiling_s = rest, real, cost_s
    operators = _operators(longest)
    known = None if is_overhead(longest) else roofline
    return Bottleneck(
        row=longest,
        total_s=breakdown.total_s,
        profiling_s=profiling_s,
        operators=len(operators),
        slowest=max(operators, key=lambda one: one.time_s, default=None),
        bound=None if known is None else _bound(longest, known),
    )


def profiling_cost(breakdown: Breakdown, latency_s: float | None) -> ProfilingCost:
    """Return what a profiled call takes and what of it profiling cost, beside the latency."""
    untraced_s = breakdown.untraced_s
    return ProfilingCost(
        total_s=breakdown.total_s,
        calls=breakdown.calls,
        untraced_s=untraced_s,
        cost_s=None if untraced_s is None else _cost_s(breakdown, untraced_s),
        kernels=sum(one.time_s > 0 for row in breakdown.rows for one in _operators(row)),
        latency_s=latency_s,
    )


def without_profiling(breakdown: Breakdown) -> Breakdown:
    """Return the breakdown with what profiling cost taken off the engine overhead, if known."""
    if breakdown.untraced_s is None:
        return breakdown
    overhead_s = sum(row.time_s for row in breakdown.rows if is_overhead(row))
    return _without(breakdown, min(_cost_s(breakdown, breakdown.untraced_s), overhead_s))


def is_overhead(row: BreakdownRow) -> bool:
    """Return whether the row is what passes outside of all kernels."""
    return row.level == "rest" and row.name == OVERHEAD


def _cost_s(breakdown: Breakdown, unprofiled_s: float) -> float:
    """Return what profiling adds to a call; 0 for what is too little to be told from noise."""
    cost_s = breakdown.total_s - unprofiled_s
    return cost_s if cost_s > _MEASURABLE * breakdown.total_s else 0.0


def _longest(breakdown: Breakdown) -> BreakdownRow | None:
    longest = max(breakdown.rows, key=lambda row: row.time_s, default=None)
    return longest if longest is not None and longest.time_s > 0 else None


def _without(breakdown: Breakdown, cost_s: float) -> Breakdown:
    """Return the breakdown of a call whose engine overhead is shorter by `cost_s`."""
    rows = tuple(
        msgspec.structs.replace(row, time_s=row.time_s - cost_s) if is_overhead(row) else row
        for row in breakdown.rows
    )
    return msgspec.structs.replace(breakdown, total_s=breakdown.total_s - cost_s, rows=rows)


def _bound(row: BreakdownRow, roofline: Roofline) -> Bound | None:
    """Return what the row is bound by; None for one that neither computes nor moves anything."""
    if row.macs == 0 and row.bytes == 0:
        return None
    flops_per_s = None if row.macs is None else 2 * row.macs / row.time_s
    bytes_per_s = None if row.bytes is None else row.bytes / row.time_s
    ridge = roofline.flops_per_s / roofline.bytes_per_s
    intensity: float | None = None
    limit: Limit = "unknown"
    if row.macs is not None and row.bytes is not None:
        intensity = 2 * row.macs / row.bytes if row.bytes else None
        limit = "computation" if intensity is None or intensity >= ridge else "memory"
    if flops_per_s is not None and bytes_per_s is not None:
        reached = (flops_per_s / roofline.flops_per_s, bytes_per_s / roofline.bytes_per_s)
        limit = "neither" if max(reached) < _IDLE else limit
    return Bound(limit, roofline, ridge, intensity, flops_per_s, bytes_per_s)


def _operators(row: BreakdownRow) -> list[BreakdownRow]:
    """Return the kernels below `row`, without what Python takes between those of eager PyTorch."""
    if row.level == "operator":
        between = row.name.rpartition("/")[2].partition("_")[0] == PYTHON
        return [] if between else [row]
    return [one for child in row.children for one in _operators(child)]
