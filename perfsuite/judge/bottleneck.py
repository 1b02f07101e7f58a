"""The bottleneck of a call, and the cost of profiling it."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.profile import OVERHEAD, PYTHON, Breakdown, BreakdownRow, Roofline

_IDLE = 0.15  # of both roofs; below that, neither limits
_MEASURABLE = 0.03  # of a profiled call; less is noise, as for regressions

Limit = Literal["computation", "memory", "neither", "unknown"]


class Bound(msgspec.Struct, frozen=True):
    """The `limit` of a row, and the share of each roof that it reaches.

    The limit is `unknown` if not all MACs or bytes of the row are counted; the share of that roof
    is None. The `intensity` is in FLOP per byte, None without bytes; above `ridge`, computation is
    the limit.
    """

    limit: Limit
    roofline: Roofline
    ridge: float
    intensity: float | None = None
    flops_per_s: float | None = None
    bytes_per_s: float | None = None


class Bottleneck(msgspec.Struct, frozen=True):
    """The row of a breakdown that takes longest, of a call of `total_s`.

    `profiling_s` is the cost of profiling if it was subtracted from both. `slowest` is the slowest
    of the row's `operators` kernels, if it has any. `bound` is None if there is no roofline or the
    row neither computes nor moves anything. `python_s` is the least that eager PyTorch's Python
    code takes between all operators of the call, in which nothing computes.
    """

    row: BreakdownRow
    total_s: float
    profiling_s: float = 0.0
    python_s: float = 0.0
    operators: int = 0
    slowest: BreakdownRow | None = None
    bound: Bound | None = None


class ProfilingCost(msgspec.Struct, frozen=True):
    """The time of a profiled call (`total_s`, mean of `calls`), and the part that profiling cost.

    `untraced_s` is the time in the same process without profiling and `cost_s` the difference, 0 if
    it is no more than noise; both are None for a breakdown of an older run. `kernels` is the number
    of kernels that took time. `latency_s` is that of the measured processes.
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
    """Return the row that takes longest, and its bound; None if no row took time.

    The bound follows from the row's MACs and bytes and the roofline (Williams, Waterman and
    Patterson 2009). Engines record times between kernels, which counts as engine overhead: if this
    makes the engine overhead the longest row, it is subtracted. `latency_s` is the time of
    unprofiled calls in other processes, for a breakdown of an older run, which lacks its own.
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
        python_s=_python_s(breakdown, unprofiled_s),
        operators=len(operators),
        slowest=max(operators, key=lambda one: one.time_s, default=None),
        bound=None if known is None else _bound(longest, known),
    )


def profiling_cost(breakdown: Breakdown, latency_s: float | None) -> ProfilingCost:
    """Return the time of a profiled call, the part that profiling cost, and the latency."""
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
    """Return the breakdown with the cost of profiling, if known, subtracted from the overhead."""
    if breakdown.untraced_s is None:
        return breakdown
    overhead_s = sum(row.time_s for row in breakdown.rows if is_overhead(row))
    return _without(breakdown, min(_cost_s(breakdown, breakdown.untraced_s), overhead_s))


def is_overhead(row: BreakdownRow) -> bool:
    """Tell whether the row is the time outside of all kernels."""
    return row.level == "rest" and row.name == OVERHEAD


def _cost_s(breakdown: Breakdown, unprofiled_s: float) -> float:
    """Return the time that profiling adds to a call; 0 if it is no more than noise."""
    cost_s = breakdown.total_s - unprofiled_s
    return cost_s if cost_s > _MEASURABLE * breakdown.total_s else 0.0


def _python_s(breakdown: Breakdown, unprofiled_s: float | None) -> float:
    """Return the time between operators, less all that profiling, which is part of it, may cost."""
    between_s = sum(one.time_s for row in breakdown.rows for one in _leaves(row) if _is_python(one))
    cost_s = 0.0 if unprofiled_s is None else _cost_s(breakdown, unprofiled_s)
    return max(0.0, between_s - cost_s)


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
    """Return the bound of the row; None if it neither computes nor moves anything."""
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
    """Return the kernels below `row`, without the Python code between those of eager PyTorch."""
    return [one for one in _leaves(row) if not _is_python(one)]


def _leaves(row: BreakdownRow) -> list[BreakdownRow]:
    if row.level == "operator":
        return [row]
    return [one for child in row.children for one in _leaves(child)]


def _is_python(row: BreakdownRow) -> bool:
    return row.name.rpartition("/")[2].partition("_")[0] == PYTHON
