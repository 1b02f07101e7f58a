"""Which part of the MACs ran in 8 bits, by hand."""

from __future__ import annotations

from perfsuite.domain.profile import Kernel, Node, Profile
from perfsuite.measure.int8_share import float_shares, int8_share


def node(name: str, macs: int | None) -> Node:
    return Node(name, "Conv", "", (), (), macs)


def kernel(precision: str, *origins: str, kind: str = "Conv", macs: int | None = None) -> Kernel:
    return Kernel("k", kind, (1.0,), (), origins, (), precision, macs)


NODES = [node("a", 900), node("b", 90), node("c", 10), node("relu", 0), node("odd", None)]


def share(*kernels: Kernel) -> float | None:
    return int8_share(Profile((1.0,), kernels), NODES)


def test_macs_are_those_of_the_nodes_merged_into_a_kernel() -> None:
    found = share(kernel("int8", "a", "relu"), kernel("fp32", "b", "odd"), kernel("int8", "c"))
    assert found == 0.91


def test_an_engine_may_report_them_itself() -> None:
    assert share(kernel("int8", "a", macs=1), kernel("fp32", macs=3)) == 0.25


def test_a_kernel_may_round_its_float_operand_itself() -> None:
    assert (
        share(kernel("fp32", "a", kind="DynamicQuantizeMatMul"), kernel("fp32", "c")) == 900 / 910
    )


def test_a_node_of_several_kernels_counts_once_for_the_longest() -> None:
    short, long = (
        Kernel("k", kind, (time_s,), (), ("a",), (), precision)
        for kind, time_s, precision in (("Transpose", 1.0, "int8"), ("RNNSeq", 2.0, "fp32"))
    )
    assert share(short, long, kernel("int8", "b")) == 90 / 990
    profile = Profile((1.0,), (short, long, long, kernel("int8", "b")))
    assert float_shares(profile, NODES) == {"Conv": 900 / 990}


def test_the_type_of_a_branch_is_that_of_its_condition() -> None:
    assert share(kernel("int8", "a", kind="If"), kernel("int8", "b")) == 90 / 990


def test_where_nothing_is_counted_there_is_no_share() -> None:
    assert share(kernel("int8", "relu", "odd"), kernel("int8", "unknown")) is None
    assert share() is None
    assert share(kernel("fp32", "a")) == 0.0


def test_what_stays_in_float_is_told_by_operator() -> None:
    nodes = [Node(name, kind, "", (), (), macs) for name, kind, macs in (
        ("a", "Conv", 400), ("b", "Loop", 500), ("c", "Gemm", 60), ("d", "Conv", 40)
    )]  # fmt: skip
    kernels = (
        kernel("int8", "a"),
        kernel("fp32", "b", kind="Loop"),
        kernel("fp32", "c", "d", kind="FusedGemm"),
    )
    found = float_shares(Profile((1.0,), kernels), nodes)
    assert list(found.items()) == [("Loop", 0.5), ("Gemm", 0.06), ("Conv", 0.04)]
    told = (kernel("fp32", "c", macs=1), kernel("fp32", kind="Odd", macs=3), kernel("int8", "a"))
    assert float_shares(Profile((1.0,), told), nodes) == {"Odd": 3 / 404, "Gemm": 1 / 404}
    assert float_shares(Profile((1.0,), (kernel("int8", "a"),)), nodes) == {}
    assert float_shares(Profile((1.0,), ()), nodes) == {}
