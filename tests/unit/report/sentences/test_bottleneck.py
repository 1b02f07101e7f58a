"""Sentences about hand-made breakdowns."""

from __future__ import annotations

import msgspec
import pytest

from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow, Roofline
from perfsuite.judge import bottleneck as judged
from perfsuite.report.sentences import bottleneck_sentences, profiling_sentences

ROOFS = Roofline(flops_per_s=100e9, bytes_per_s=10e9, threads=2, precision="fp32")  # ridge: 10


def bottleneck(
    breakdown: Breakdown, roofline: Roofline | None, latency_s: float | None = None
) -> tuple[str, ...]:
    return bottleneck_sentences(judged.bottleneck(breakdown, roofline, latency_s))


def profiling_cost(breakdown: Breakdown, latency_s: float | None) -> tuple[str, ...]:
    return profiling_sentences(judged.profiling_cost(breakdown, latency_s))


def stage(name: str, time_s: float, macs: int | None = 0, size: int | None = 0) -> BreakdownRow:
    return BreakdownRow(name, "stage", time_s, macs, 0, size)


def rest(overhead_s: float = 0.0, unattributed_s: float = 0.0) -> tuple[BreakdownRow, BreakdownRow]:
    return (
        BreakdownRow(OVERHEAD, "rest", overhead_s),
        BreakdownRow(UNATTRIBUTED, "rest", unattributed_s, 0, 0, 0),
    )


def call(*rows: BreakdownRow, untraced_s: float | None = None) -> Breakdown:
    return Breakdown(sum(row.time_s for row in rows), 10, rows, untraced_s=untraced_s)


def traced(untraced_s: float | None, kernels: int = 3) -> Breakdown:
    """Return a call of 4 ms whose kernels take half of it; one more did not run."""
    ran = [BreakdownRow(f"k{index}", "operator", 0.002 / kernels) for index in range(kernels)]
    children = (
        BreakdownRow("m", "module", 0.002, children=(*ran, BreakdownRow("idle", "operator", 0.0))),
    )
    whole = BreakdownRow("a", "stage", 0.002, children=children)
    return call(whole, *rest(0.002), untraced_s=untraced_s)


def test_the_stage_its_operator_and_what_it_is_worth() -> None:
    slow, fast = (
        BreakdownRow("layer/Conv", "operator", 0.05),
        BreakdownRow("layer/Relu", "operator", 0.01),
    )
    backbone = BreakdownRow(
        "backbone",
        "stage",
        0.06,
        children=(BreakdownRow("m", "module", 0.06, children=(slow, fast)),),
    )
    holder, worth = bottleneck(call(stage("head", 0.03), backbone, *rest(0.01)), None)
    assert holder == (
        "backbone holds the model back: 60 ms of 100 ms (60 %), its slowest operator is "
        "layer/Conv with 50 ms (50 %)."
    )
    # Amdahl: 1 / (1 - 0.6) and 1 / (1 - 0.6 + 0.6 / 2)
    assert worth == (
        "If it were free, the whole call would be 2.5x faster (40 ms); at twice its speed 1.43x "
        "faster (70 ms)."
    )


def test_a_stage_of_one_operator() -> None:
    only = BreakdownRow("fc", "stage", 1.0, children=(BreakdownRow("fc/Gemm", "operator", 1.0),))
    holder, worth = bottleneck(call(only, *rest()), None)
    assert holder == "fc holds the model back: 1 s of 1 s (100 %), all of it in fc/Gemm."
    assert (
        worth == "The whole call would gain what it gains: at twice its speed 2x faster (500 ms)."
    )


def test_bound_by_computation() -> None:
    # 80 GFLOP in a second of 100, and 1 GB of 10: 80 FLOP a byte
    *_, bound = bottleneck(call(stage("a", 1.0, 40 * 10**9, 10**9), *rest()), ROOFS)
    assert bound == (
        "It is bound by computation: 80 FLOP a byte, above the 10 from which on computation "
        "limits; it reaches 80 GFLOP/s, 80 % of what 2 threads can do here in fp32, and 1 GB/s, "
        "10 % of the memory's."
    )


def test_bound_by_memory() -> None:
    # 16 GFLOP and 8 GB in a second: 2 FLOP a byte
    *_, bound = bottleneck(call(stage("a", 1.0, 8 * 10**9, 8 * 10**9), *rest()), ROOFS)
    assert bound.startswith("It is bound by memory: 2 FLOP a byte, below the 10 from")
    assert "8 GB/s, 80 % of the memory's" in bound


def test_bound_by_neither() -> None:
    *_, bound = bottleneck(call(stage("a", 1.0, 7 * 10**9, 10**9), *rest()), ROOFS)
    assert bound.startswith("It is bound neither by computation nor by memory: it reaches 14 GF")
    assert "14 % of what" in bound
    assert "small kernels" in bound


@pytest.mark.parametrize(
    ("macs", "size", "words"),
    [(60 * 10**9, 10**9, "Winograd"), (10**9, 12 * 10**9, "stay in a cache")],
)
def test_more_than_a_roof_is_explained(macs: int, size: int, words: str) -> None:
    *_, bound = bottleneck(call(stage("a", 1.0, macs, size), *rest()), ROOFS)
    assert "120 %" in bound
    assert words in bound


def test_in_half_precision_other_kernels_than_products_may_be_better() -> None:
    roofs = msgspec.structs.replace(ROOFS, precision="bf16")
    *_, bound = bottleneck(call(stage("a", 1.0, 60 * 10**9, 10**9), *rest()), roofs)
    assert "in bf16 a processor may have better kernels for other layers" in bound
    assert "Winograd" not in bound


def test_no_algorithm_explains_ten_times_a_roof() -> None:
    *_, bound = bottleneck(call(stage("a", 1.0, 500 * 10**9, 10**9), *rest()), ROOFS)
    assert "1000 %" in bound and "Winograd" not in bound
    assert "it is measured again when this is profiled again" in bound


def test_what_is_not_known_is_said_and_what_is_known_too() -> None:
    said = [
        bottleneck(call(stage("a", 1.0, macs, size), *rest()), ROOFS)[-1]
        for macs, size in ((None, 5 * 10**9), (5 * 10**9, None), (None, None))
    ]
    unknown = "What it is bound by cannot be said: not all of its {} could be counted"
    assert said == [
        unknown.format("MACs") + "; it reaches 5 GB/s, 50 % of the memory's.",
        unknown.format("bytes")
        + "; it reaches 10 GFLOP/s, 10 % of what 2 threads can do here in fp32.",
        unknown.format("MACs") + ".",
    ]


def test_products_without_traffic_are_bound_by_computation() -> None:
    *_, bound = bottleneck(call(stage("a", 1.0, 40 * 10**9, 0), *rest()), ROOFS)
    assert bound.startswith("It is bound by computation: unlimited FLOP a byte")


@pytest.mark.parametrize(
    ("macs", "size", "said"),
    [
        (0, 8 * 10**9, "It is bound by memory, as it multiplies nothing: it reaches 8 GB/s, 80 %"),
        (0, 10**9, "It is bound neither by computation nor by memory: it reaches 1 GB/s, 10 %"),
        (0, None, "What it is bound by cannot be said: not all of its bytes could be counted."),
        (40 * 10**9, 0, "It is bound by computation: unlimited FLOP a byte, above the 10 from"),
        (None, 0, "What it is bound by cannot be said: not all of its MACs could be counted."),
    ],
)
def test_what_is_zero_is_not_told_as_a_rate(macs: int | None, size: int | None, said: str) -> None:
    *_, bound = bottleneck(call(stage("a", 1.0, macs, size), *rest()), ROOFS)
    assert bound.startswith(said)
    assert " 0 GFLOP/s" not in bound and " 0 GB/s" not in bound


def test_nothing_is_said_of_a_stage_that_neither_computes_nor_moves() -> None:
    assert len(bottleneck(call(stage("views", 1.0), *rest()), ROOFS)) == 2


def test_the_engine_itself_may_be_the_bottleneck() -> None:
    holder, worth = bottleneck(call(stage("a", 0.2, 10**9, 10**6), *rest(0.8)), ROOFS)
    assert holder.startswith("The engine itself holds the model back: 800 ms of 1 s (80 %)")
    assert "5x faster (200 ms)" in worth


def test_the_cost_of_profiling_is_not_the_engines() -> None:
    found = call(stage("a", 0.2, 40 * 10**8, 10**8), *rest(0.8))
    # Unprofiled it takes 0.3 s: 0.7 of the 0.8 s are the profiler's, 0.1 are left of 0.3.
    cost, holder, worth, bound = bottleneck(found, ROOFS, latency_s=0.3)
    assert cost == "Profiling itself is 700 ms of the engine overhead, which is left out here."
    assert holder == "a holds the model back: 200 ms of 300 ms (66.7 %)."
    assert worth.startswith("If it were free, the whole call would be 3x faster (100 ms)")
    assert bound.startswith("It is bound by computation")


def test_the_cost_is_that_in_the_same_process_where_it_is_known() -> None:
    found = call(stage("a", 0.2), *rest(0.8), untraced_s=0.25)
    cost, holder, _ = bottleneck(found, None, latency_s=0.99)
    assert cost.startswith("Profiling itself is 750 ms of the engine overhead")
    assert holder == "a holds the model back: 200 ms of 250 ms (80 %)."


def test_what_profiling_cost() -> None:
    assert profiling_cost(traced(0.0028), latency_s=0.0027) == (
        "A profiled call takes 4 ms (mean of 10 calls).",
        "Profiling cost 1.2 ms of the 4 ms: the same process answers in 2.8 ms without it (400 µs "
        "for each of 3 kernels).",
        "End-to-end latency, of processes that never profile, is 2.7 ms.",
    )
    assert profiling_cost(traced(0.0028, kernels=1), None) == (
        "A profiled call takes 4 ms (mean of 10 calls).",
        "Profiling cost 1.2 ms of the 4 ms: the same process answers in 2.8 ms without it.",
    )


@pytest.mark.parametrize(
    ("untraced_s", "takes"), [(0.0039, "3.9 ms"), (0.004, "4 ms"), (0.0042, "4.2 ms")]
)
def test_profiling_that_cost_nothing(untraced_s: float, takes: str) -> None:
    _, cost = profiling_cost(traced(untraced_s), None)
    assert cost == (
        f"Profiling cost nothing measurable: the same process answers in {takes} without it."
    )


@pytest.mark.parametrize(
    ("latency_s", "said"),
    [
        (0.0030, ""),  # 6.7 and 9.8 % apart
        (0.00255, ""),
        (0.0035, "20 % less"),
        (0.0025, "12 % more"),
    ],
)
def test_what_is_left_is_a_difference_between_processes(latency_s: float, said: str) -> None:
    *_, latency = profiling_cost(traced(0.0028), latency_s)
    assert ("a difference between processes, not profiling." in latency) == bool(said)
    assert f"the profiled process takes {said}: " in latency or not said


def test_an_older_run_does_not_know_the_cost_from_other_differences() -> None:
    assert profiling_cost(traced(None), None) == ("A profiled call takes 4 ms (mean of 10 calls).",)
    assert profiling_cost(traced(None), 0.0032) == (
        "A profiled call takes 4 ms (mean of 10 calls), an unprofiled one in other processes "
        "3.2 ms: +25 % for profiling and what processes differ by.",
    )


def test_a_cheap_profile_leaves_the_overhead_the_bottleneck() -> None:
    found = call(stage("a", 0.2), *rest(0.8))
    for latency_s in (0.9, 1.0, 1.2):
        assert bottleneck(found, ROOFS, latency_s) == bottleneck(found, ROOFS)


def test_kernels_that_profiling_slows_are_still_told_apart() -> None:
    found = call(stage("a", 0.2), stage("b", 0.1), *rest(0.8))
    _, holder, *_ = bottleneck(found, None, latency_s=0.05)  # shorter than its kernels seem to be
    assert holder == "a holds the model back: 200 ms of 300 ms (66.7 %)."


def test_most_time_may_have_no_stage() -> None:
    holder, *_ = bottleneck(call(stage("a", 0.2), *rest(0.1, 0.7)), ROOFS)
    assert holder.startswith("Most time has no stage: 700 ms of 1 s (70 %)")


def test_a_stage_may_bear_the_name_of_a_rest() -> None:
    holder, *_ = bottleneck(call(stage(UNATTRIBUTED, 0.7), *rest(0.1)), None)
    assert holder.startswith(f"{UNATTRIBUTED} holds the model back")


@pytest.mark.parametrize("empty", [Breakdown(0.0, 1, ()), Breakdown(0.0, 1, rest())])
def test_no_time_no_sentence(empty: Breakdown) -> None:
    assert bottleneck(empty, ROOFS) == ()


@pytest.mark.parametrize(("python_s", "told"), [(0.02, True), (0.01, False)])
def test_python_that_keeps_the_call_waiting_is_told(python_s: float, told: bool) -> None:
    between = BreakdownRow("a/python_0", "operator", python_s)
    row = BreakdownRow("a", "stage", 0.1, children=(between,))
    sentences = bottleneck(call(row), None)
    said = (
        "For 20 ms of the call (20 %) or more, nothing computes, as Python has not started the "
        "next operator: larger batches, torch.compile, CUDA graphs or an engine that runs graphs "
        "help there, faster kernels do not."
    )
    assert (said in sentences) is told
