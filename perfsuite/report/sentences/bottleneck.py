"""Sentences on the bottleneck of a model, and on the cost of profiling."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.profile import MOST_SAVED, UNATTRIBUTED, BreakdownRow
from perfsuite.judge.bottleneck import Bottleneck, Bound, ProfilingCost, is_overhead
from perfsuite.report import words

_APART = 0.1  # of the latency; a larger difference is explained
_BETWEEN = 0.1  # of the call; more Python between operators is told


def bottleneck_sentences(found: Bottleneck | None) -> tuple[str, ...]:
    """Return sentences on the row that takes longest, the possible speed-up, and its bound.

    The possible speed-up is Amdahl's (Amdahl 1967), 1 / (1 - share + share / factor), if the row
    took no time and if it were twice as fast. There are no sentences if no row took time.
    """
    if found is None:
        return ()
    sentences = []
    if found.profiling_s > 0:
        sentences.append(
            f"Profiling itself is {words.seconds(found.profiling_s)} of the engine overhead, which "
            f"is left out here."
        )
    sentences += [_holder(found), _worth(found.row, found.total_s)]
    if found.python_s > _BETWEEN * found.total_s:
        sentences.append(_between(found.python_s, found.total_s))
    if found.bound is not None:
        sentences.append(_bound(found.bound))
    return tuple(sentences)


def profiling_sentences(cost: ProfilingCost) -> tuple[str, ...]:
    """Return sentences on the time of a profiled call, the cost of profiling, and the latency.

    The time of the same process without profiling may differ from that of the measured processes,
    which is not the profiler's cost; it is mentioned if it exceeds a tenth. A breakdown of an older
    run cannot tell the two apart.
    """
    calls = f"{cost.calls} call{'s' * (cost.calls != 1)}"
    total = f"A profiled call takes {words.seconds(cost.total_s)} (mean of {calls})"
    if cost.untraced_s is None or cost.cost_s is None:
        if cost.latency_s:
            change = words.signed_percent(cost.total_s / cost.latency_s - 1.0)
            total += (
                f", an unprofiled one in other processes {words.seconds(cost.latency_s)}: {change} "
                f"for profiling and what processes differ by"
            )
        return (f"{total}.",)
    told = _cost(cost, cost.untraced_s, cost.cost_s)
    return (f"{total}.", told, *_latency(cost.untraced_s, cost.latency_s))


def _cost(cost: ProfilingCost, untraced_s: float, cost_s: float) -> str:
    answers = f"the same process answers in {words.seconds(untraced_s)} without it"
    if not cost_s:
        return f"Profiling cost nothing measurable: {answers}."
    each = ""
    if cost.kernels > 1:
        each = f" ({words.seconds(cost_s / cost.kernels)} for each of {cost.kernels} kernels)"
    return (
        f"Profiling cost {words.seconds(cost_s)} of the {words.seconds(cost.total_s)}: "
        f"{answers}{each}."
    )


def _latency(untraced_s: float, latency_s: float | None) -> Iterator[str]:
    if not latency_s:
        return
    said = f"End-to-end latency, of processes that never profile, is {words.seconds(latency_s)}"
    apart = untraced_s / latency_s - 1.0
    if abs(apart) > _APART:
        said += (
            f"; without profiling the profiled process takes {words.percent(abs(apart))} "
            f"{'more' if apart > 0 else 'less'}: a difference between processes, not profiling"
        )
    yield f"{said}."


def _holder(found: Bottleneck) -> str:
    row, total_s = found.row, found.total_s
    took = f"{words.seconds(row.time_s)} of {words.seconds(total_s)} ({_share(row, total_s)})"
    if is_overhead(row):
        return (
            f"The engine itself holds the model back: {took} pass outside of all kernels, in "
            f"starting them, in glue and in copies; larger batches or fewer operators help, faster "
            f"kernels do not."
        )
    if row.level == "rest" and row.name == UNATTRIBUTED:
        return (
            f"Most time has no stage: {took} are spent in kernels that no stage is known to own"
            f"{_slowest(found)}; declare stages for them."
        )
    return f"{row.name} holds the model back: {took}{_slowest(found)}."


def _slowest(found: Bottleneck) -> str:
    slowest = found.slowest
    if slowest is None:
        return ""
    if found.operators == 1:
        return f", all of it in {slowest.name}"
    return (
        f", its slowest operator is {slowest.name} with {words.seconds(slowest.time_s)} "
        f"({_share(slowest, found.total_s)})"
    )


def _worth(row: BreakdownRow, total_s: float) -> str:
    free_s, half_s = total_s - row.time_s, total_s - row.time_s / 2
    half = f"at twice its speed {_gain(total_s, half_s)}"
    if free_s <= 0:
        return f"The whole call would gain what it gains: {half}."
    return f"If it were free, the whole call would be {_gain(total_s, free_s)}; {half}."


def _between(python_s: float, total_s: float) -> str:
    return (
        f"For {words.seconds(python_s)} of the call ({words.percent(python_s / total_s)}) or more, "
        f"nothing computes, as Python has not started the next operator: larger batches, "
        f"torch.compile, CUDA graphs or an engine that runs graphs help there, faster kernels do "
        f"not."
    )


def _gain(before_s: float, after_s: float) -> str:
    return f"{words.times(before_s / after_s)} faster ({words.seconds(after_s)})"


def _bound(bound: Bound) -> str:
    known = [*_computing(bound), *_moving(bound)]
    if bound.limit == "unknown":
        missing = "MACs" if bound.flops_per_s is None else "bytes"
        reached = f"; it reaches {' and '.join(known)}" if known else ""
        return (
            f"What it is bound by cannot be said: not all of its {missing} could be "
            f"counted{reached}."
        )
    reached, more = ", and ".join(known), _more_than_all(bound)
    if bound.limit == "neither":
        return (
            f"It is bound neither by computation nor by memory: it reaches {reached}; its time "
            f"goes into many small kernels, or into kernels that use the machine badly."
        )
    if bound.intensity == 0:
        return f"It is bound by memory, as it multiplies nothing: it reaches {reached}{more}."
    where = "above" if bound.limit == "computation" else "below"
    intensity = "unlimited" if bound.intensity is None else words.number(bound.intensity)
    return (
        f"It is bound by {bound.limit}: {intensity} FLOP a byte, {where} the "
        f"{words.number(bound.ridge)} from which on computation limits; it reaches "
        f"{reached}{more}."
    )


def _computing(bound: Bound) -> Iterator[str]:
    if bound.flops_per_s:
        roofline = bound.roofline
        threads = f"{roofline.threads} thread{'s' * (roofline.threads != 1)}"
        whole = roofline.device or threads
        yield (
            f"{words.number(bound.flops_per_s / 1e9)} GFLOP/s, "
            f"{words.percent(bound.flops_per_s / roofline.flops_per_s)} of what {whole} can do "
            f"here in {roofline.precision}"
        )


def _moving(bound: Bound) -> Iterator[str]:
    if bound.bytes_per_s:
        yield (
            f"{words.number(bound.bytes_per_s / 1e9)} GB/s, "
            f"{words.percent(bound.bytes_per_s / bound.roofline.bytes_per_s)} of the memory's"
        )


def _more_than_all(bound: Bound) -> str:
    """Return why a row may exceed a roof, which is measured with plain products and main memory."""
    roofline = bound.roofline
    if (bound.flops_per_s or 0.0) > MOST_SAVED * roofline.flops_per_s:
        return (
            " (far more than all, so something else was running whenever it was measured what can "
            "be done; it is measured again when this is profiled again)"
        )
    if bound.limit == "computation" and (bound.flops_per_s or 0.0) > roofline.flops_per_s:
        if roofline.precision != "fp32" and not roofline.device:
            return (
                f" (more than all, which is what products of matrices reach: in "
                f"{roofline.precision} a processor may have better kernels for other layers)"
            )
        return " (more than all, as by algorithms that need fewer products, such as Winograd's)"
    if bound.limit == "memory" and (bound.bytes_per_s or 0.0) > roofline.bytes_per_s:
        return " (more than all, as by values that stay in a cache)"
    return ""


def _share(row: BreakdownRow, total_s: float) -> str:
    return words.percent(row.time_s / total_s)
