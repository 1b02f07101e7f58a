"""What holds a model back, and what it cost to find out, in words."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from perfsuite.domain.profile import (
    OVERHEAD,
    PYTHON,
    UNATTRIBUTED,
    Breakdown,
    BreakdownRow,
    Roofline,
)
from perfsuite.judge import words

_IDLE = 0.15  # of both roofs: below, neither is what limits
_MEASURABLE = 0.03  # of a profiled call: less, as for regressions, is lost in noise
_APART = 0.1  # of the latency: a larger difference wants an explanation


def bottleneck(
    breakdown: Breakdown, roofline: Roofline | None, latency_s: float | None = None
) -> tuple[str, ...]:
    """Return sentences: which row takes longest, what it is worth, and what it is bound by.

    Worth: Amdahl's bound (Amdahl 1967), 1 / (1 - share + share / factor), for it free and for it
    twice as fast. Bound: its MACs and bytes against the roofline (Williams, Waterman and Patterson
    2009); nothing is said of it where they are not known. No sentence where no time was taken.

    Engines note times between kernels: where that is what makes the engine overhead the longest
    row, it is taken off. `latency_s` is that of unprofiled calls in other processes, for a
    breakdown of an older run, which knows none of its own.
    """
    longest = _longest(breakdown)
    if longest is None:
        return ()
    sentences = []
    unprofiled_s = latency_s if breakdown.untraced_s is None else breakdown.untraced_s
    if _is_overhead(longest) and unprofiled_s is not None:
        cost_s = min(_cost_s(breakdown, unprofiled_s), longest.time_s)
        rest = _without(breakdown, cost_s)
        if cost_s > 0 and (real := _longest(rest)) is not None and not _is_overhead(real):
            sentences.append(
                f"Profiling itself is {words.seconds(cost_s)} of the engine overhead, which is "
                f"left out here."
            )
            breakdown, longest = rest, real
    total_s = breakdown.total_s
    sentences += [_holder(longest, total_s), _worth(longest, total_s)]
    if not _is_overhead(longest) and roofline is not None:
        bound = _bound(longest, roofline)
        sentences += [bound] if bound else []
    return tuple(sentences)


def profiling_cost(breakdown: Breakdown, latency_s: float | None) -> tuple[str, ...]:
    """Return sentences: what a profiled call takes, what of it profiling cost, and the latency.

    The cost is what the same process saves without profiling. What is then left between it and
    `latency_s`, that of the measured processes, is no profiler's; beyond a tenth that is said. A
    breakdown of an older run does not know the one from the other.
    """
    calls = f"{breakdown.calls} call{'s' * (breakdown.calls != 1)}"
    total = f"A profiled call takes {words.seconds(breakdown.total_s)} (mean of {calls})"
    if breakdown.untraced_s is None:
        if latency_s:
            change = words.signed_percent(breakdown.total_s / latency_s - 1.0)
            total += (
                f", an unprofiled one in other processes {words.seconds(latency_s)}: {change} for "
                f"profiling and what processes differ by"
            )
        return (f"{total}.",)
    return (f"{total}.", _cost(breakdown, breakdown.untraced_s), *_latency(breakdown, latency_s))


def without_profiling(breakdown: Breakdown) -> Breakdown:
    """Return the breakdown with what profiling cost taken off the engine overhead, if known."""
    if breakdown.untraced_s is None:
        return breakdown
    overhead_s = sum(row.time_s for row in breakdown.rows if _is_overhead(row))
    return _without(breakdown, min(_cost_s(breakdown, breakdown.untraced_s), overhead_s))


def _cost_s(breakdown: Breakdown, unprofiled_s: float) -> float:
    """Return what profiling adds to a call; 0 for what is too little to be told from noise."""
    cost_s = breakdown.total_s - unprofiled_s
    return cost_s if cost_s > _MEASURABLE * breakdown.total_s else 0.0


def _cost(breakdown: Breakdown, untraced_s: float) -> str:
    cost_s = _cost_s(breakdown, untraced_s)
    answers = f"the same process answers in {words.seconds(untraced_s)} without it"
    if not cost_s:
        return f"Profiling cost nothing measurable: {answers}."
    timed = sum(one.time_s > 0 for row in breakdown.rows for one in _operators(row))
    each = f" ({words.seconds(cost_s / timed)} for each of {timed} kernels)" if timed > 1 else ""
    return (
        f"Profiling cost {words.seconds(cost_s)} of the {words.seconds(breakdown.total_s)}: "
        f"{answers}{each}."
    )


def _latency(breakdown: Breakdown, latency_s: float | None) -> Iterator[str]:
    if not latency_s or breakdown.untraced_s is None:
        return
    said = f"End-to-end latency, of processes that never profile, is {words.seconds(latency_s)}"
    apart = breakdown.untraced_s / latency_s - 1.0
    if abs(apart) > _APART:
        said += (
            f"; without profiling the profiled process takes {words.percent(abs(apart))} "
            f"{'more' if apart > 0 else 'less'}: a difference between processes, not profiling"
        )
    yield f"{said}."


def _longest(breakdown: Breakdown) -> BreakdownRow | None:
    longest = max(breakdown.rows, key=lambda row: row.time_s, default=None)
    return longest if longest is not None and longest.time_s > 0 else None


def _is_overhead(row: BreakdownRow) -> bool:
    return row.level == "rest" and row.name == OVERHEAD


def _without(breakdown: Breakdown, cost_s: float) -> Breakdown:
    """Return the breakdown of a call whose engine overhead is shorter by `cost_s`."""
    rows = tuple(
        msgspec.structs.replace(row, time_s=row.time_s - cost_s) if _is_overhead(row) else row
        for row in breakdown.rows
    )
    return msgspec.structs.replace(breakdown, total_s=breakdown.total_s - cost_s, rows=rows)


def _holder(row: BreakdownRow, total_s: float) -> str:
    took = f"{words.seconds(row.time_s)} of {words.seconds(total_s)} ({_share(row, total_s)})"
    if _is_overhead(row):
        return (
            f"The engine itself holds the model back: {took} pass outside of all kernels, in "
            f"starting them, in glue and in copies; larger batches or fewer operators help, faster "
            f"kernels do not."
        )
    if row.level == "rest" and row.name == UNATTRIBUTED:
        return (
            f"Most time has no stage: {took} are spent in kernels that no stage is known to own"
            f"{_slowest(row, total_s)}; declare stages for them."
        )
    return f"{row.name} holds the model back: {took}{_slowest(row, total_s)}."


def _slowest(row: BreakdownRow, total_s: float) -> str:
    operators = _operators(row)
    if not operators:
        return ""
    slowest = max(operators, key=lambda one: one.time_s)
    if len(operators) == 1:
        return f", all of it in {slowest.name}"
    return (
        f", its slowest operator is {slowest.name} with {words.seconds(slowest.time_s)} "
        f"({_share(slowest, total_s)})"
    )


def _worth(row: BreakdownRow, total_s: float) -> str:
    free_s, half_s = total_s - row.time_s, total_s - row.time_s / 2
    half = f"at twice its speed {_gain(total_s, half_s)}"
    if free_s <= 0:
        return f"The whole call would gain what it gains: {half}."
    return f"If it were free, the whole call would be {_gain(total_s, free_s)}; {half}."


def _gain(before_s: float, after_s: float) -> str:
    return f"{words.times(before_s / after_s)} faster ({words.seconds(after_s)})"


def _bound(row: BreakdownRow, roofline: Roofline) -> str:
    if row.macs == 0 and row.bytes == 0:
        return ""
    if row.macs is None or row.bytes is None:
        missing = "MACs" if row.macs is None else "bytes"
        known = [*_computing(row, roofline), *_moving(row, roofline)]
        reached = f"; it reaches {' and '.join(known)}" if known else ""
        return (
            f"What it is bound by cannot be said: not all of its {missing} could be "
            f"counted{reached}."
        )
    computing = 2 * row.macs / row.time_s / roofline.flops_per_s
    moving = row.bytes / row.time_s / roofline.bytes_per_s
    reached = ", and ".join((*_computing(row, roofline), *_moving(row, roofline)))
    if max(computing, moving) < _IDLE:
        return (
            f"It is bound neither by computation nor by memory: it reaches {reached}; its time "
            f"goes into many small kernels, or into kernels that use the machine badly."
        )
    ridge = roofline.flops_per_s / roofline.bytes_per_s
    if not row.bytes or 2 * row.macs / row.bytes >= ridge:
        which, where = "computation", "above"
    else:
        which, where = "memory", "below"
    intensity = words.number(2 * row.macs / row.bytes) if row.bytes else "unlimited"
    faster = computing if which == "computation" else moving
    return (
        f"It is bound by {which}: {intensity} FLOP a byte, {where} the {words.number(ridge)} from "
        f"which on computation limits; it reaches {reached}{_above(which, faster)}."
    )


def _computing(row: BreakdownRow, roofline: Roofline) -> Iterator[str]:
    if row.macs is not None:
        flops_per_s = 2 * row.macs / row.time_s
        threads = f"{roofline.threads} thread{'s' * (roofline.threads != 1)}"
        yield (
            f"{words.number(flops_per_s / 1e9)} GFLOP/s, "
            f"{words.percent(flops_per_s / roofline.flops_per_s)} of what {threads} can do here "
            f"in {roofline.precision}"
        )


def _moving(row: BreakdownRow, roofline: Roofline) -> Iterator[str]:
    if row.bytes is not None:
        bytes_per_s = row.bytes / row.time_s
        yield (
            f"{words.number(bytes_per_s / 1e9)} GB/s, "
            f"{words.percent(bytes_per_s / roofline.bytes_per_s)} of the memory's"
        )


def _above(which: str, reached: float) -> str:
    """Explain more than all: a roof is measured with plain products and with main memory."""
    if reached <= 1:
        return ""
    if which == "computation":
        return " (more than all, as by algorithms that need fewer products, such as Winograd's)"
    return " (more than all, as by values that stay in a cache)"


def _operators(row: BreakdownRow) -> list[BreakdownRow]:
    """Return the kernels below `row`, without what Python takes between those of eager PyTorch."""
    if row.level == "operator":
        between = row.name.rpartition("/")[2].partition("_")[0] == PYTHON
        return [] if between else [row]
    return [one for child in row.children for one in _operators(child)]


def _share(row: BreakdownRow, total_s: float) -> str:
    return words.percent(row.time_s / total_s)
