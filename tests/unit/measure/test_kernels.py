"""What kernels did, by hand: the work of the nodes that they run, and what they move."""

from __future__ import annotations

from dataclasses import dataclass

from small_profiles import BIT, kernel, node, profile, rows

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import (
    Node,
)
from perfsuite.measure.stages import breakdown


@dataclass
class Fused:
    """conv -> bn -> relu -> conv2, both readers of one input: (name, MACs, parameters, sizes)."""

    conv = node(
        "stem.conv/Conv", 100, inputs=("x", "w"), outputs=("c",), parameters=7, bytes=170,
        sizes=(40, 30, 100),
    )  # fmt: skip
    bn = node(
        "stem.bn/BN", 0, inputs=("c", "g"), outputs=("n",), parameters=3, bytes=212,
        sizes=(100, 12, 100),
    )  # fmt: skip
    relu = node("stem.relu/Relu", 0, inputs=("n",), outputs=("r",), bytes=200, sizes=(100, 100))
    head = node(
        "head/Conv", 50, inputs=("r", "v"), outputs=("y",), parameters=5, bytes=130,
        sizes=(100, 20, 10),
    )  # fmt: skip

    @classmethod
    def nodes(cls) -> tuple[Node, ...]:
        return (cls.conv, cls.bn, cls.relu, cls.head)


def test_a_fused_kernel_does_the_work_of_its_nodes_and_keeps_what_is_between_them() -> None:
    names = [one.name for one in Fused.nodes()]
    found = rows(breakdown(profile(kernel("f", 1, *names[:3]), kernel("h", 2, names[3])),
                           Fused.nodes(), ()))  # fmt: skip
    stem, head = found["stem"], found["head"]
    assert (stem.macs, stem.parameters, stem.bytes) == (100, 10, 40 + 30 + 12 + 100)
    assert (head.macs, head.parameters, head.bytes) == (50, 5, 130)


def test_nodes_that_no_kernel_names_were_merged_into_what_makes_their_input() -> None:
    kernels = profile(kernel("f", 1, "stem.conv/Conv"), kernel("h", 2, "head/Conv"))
    stem = rows(breakdown(kernels, Fused.nodes(), ()))["stem"]
    assert (stem.macs, stem.parameters, stem.bytes) == (100, 10, 40 + 30 + 12 + 100)


def test_a_value_that_is_read_outside_too_moves() -> None:
    late = node("late/Add", 0, inputs=("c", "y"), outputs=("z",), bytes=1, sizes=(100, 10, 9))
    nodes = (*Fused.nodes(), late)
    kernels = profile(
        kernel("f", 1, "stem.conv/Conv", "stem.bn/BN", "stem.relu/Relu"),
        kernel("h", 2, "head/Conv"),
        kernel("a", 2, "late/Add"),
    )
    assert rows(breakdown(kernels, nodes, ()))["stem"].bytes == 40 + 30 + 12 + 100 + 100


def test_rounding_is_done_where_it_is_read_and_small_values_move() -> None:
    """Two convolutions with int8 between them: no kernel names a Q or DQ node."""
    nodes = (
        node("a/Conv", 9, inputs=("x", "w"), outputs=("c",), bytes=1, sizes=(8, 4, 40)),
        node("a/Q", 0, inputs=("c",), outputs=("q",), bytes=50, sizes=(40, 10)),
        Node("a/DQ", "DequantizeLinear", "a", ("q",), ("d",), 0, 0, 50, (10, 40)),
        node("b/Conv", 9, inputs=("d", "v"), outputs=("y",), bytes=1, sizes=(40, 4, 6)),
        node("c/Conv", 9, inputs=("d", "u"), outputs=("z",), bytes=1, sizes=(40, 4, 6)),
    )
    kernels = (kernel("a", 1, "a/Conv"), kernel("b", 1, "b/Conv"), kernel("c", 1, "c/Conv"))
    found = rows(breakdown(profile(*kernels), nodes, ()))
    assert found["a"].bytes == 8 + 4 + 10
    assert found["b"].bytes == found["c"].bytes == 10 + 4 + 6


def test_a_node_that_became_two_kernels_counts_for_the_longer() -> None:
    nodes = (node("fc/LSTM", 100, parameters=4, bytes=10, sizes=()),)
    kernels = profile(kernel("prepare", 1, "fc/LSTM"), kernel("run", 5, "fc/LSTM"))
    prepare, run = rows(breakdown(kernels, nodes, ()))["fc"].children
    assert (prepare.macs, prepare.parameters, prepare.bytes) == (0, 0, 0)
    assert (run.macs, run.parameters, run.bytes) == (100, 4, 10)


def test_what_the_engine_knows_itself_comes_first() -> None:
    nodes = (node("fc/Gemm", 100, bytes=10),)
    kernels = profile(kernel("k", 1, "fc/Gemm", macs=7, bytes=8))
    fc = rows(breakdown(kernels, nodes, ()))["fc"]
    assert (fc.macs, fc.bytes) == (7, 8)


def test_what_could_not_be_counted_in_a_part_is_not_known_of_the_whole() -> None:
    nodes = (node("fc.a/Gemm", None, parameters=2, bytes=10), node("fc.b/Relu", 0, bytes=None))
    kernels = profile(kernel("a", 1, "fc.a/Gemm"), kernel("b", 1, "fc.b/Relu"))
    fc = rows(breakdown(kernels, nodes, (Stage("fc", ("fc",)),)))["fc"]
    assert (fc.macs, fc.parameters, fc.bytes) == (None, 2, None)
    assert [(one.macs, one.bytes) for one in fc.children] == [(None, 10), (0, None)]


def test_an_engine_of_modules_gets_parameters_by_their_paths() -> None:
    nodes = (
        Node("stem.conv/Conv2d", "Conv2d", "stem.conv", (), (), None, 20),
        Node("stem.bn/BatchNorm2d", "BatchNorm2d", "stem.bn", (), (), None, 4),
        Node("fc/Linear", "Linear", "fc", (), (), None, 9),
    )
    kernels = (
        kernel("conv", 1, "stem.conv/conv2d", macs=10, bytes=3),
        kernel("relu", 1, "stem.relu/relu", macs=0, bytes=3),
        kernel("flatten", 1, "flatten", macs=0, bytes=0),
    )
    found = rows(breakdown(profile(*kernels), nodes, ()))
    stem = found["stem"]
    assert (stem.macs, stem.parameters, stem.bytes) == (10, 24, 6)
    assert [child.parameters for child in stem.children] == [20, 0]
    assert found["flatten"].time_s == BIT


def test_without_nodes_no_parameters_are_known() -> None:
    found = rows(breakdown(profile(kernel("a", 1, "stem/conv", macs=1, bytes=2)), (), ()))
    assert (found["stem"].macs, found["stem"].parameters, found["stem"].bytes) == (1, None, 2)


def fused_bytes(*nodes: Node) -> int | None:
    """Return what one kernel of all these nodes moves."""
    kernels = profile(kernel("f", 1, *(one.name for one in nodes)))
    (row,) = (row for row in breakdown(kernels, nodes, ()).rows if row.level == "stage")
    return row.bytes


def test_what_several_nodes_read_is_read_once() -> None:
    """One takes a part of it alone: the whole moves."""
    left = node("m.a/Slice", 0, inputs=("x",), outputs=("l",), bytes=30, sizes=(20, 10))
    right = node("m.b/Relu", 0, inputs=("x",), outputs=("r",), bytes=80, sizes=(40, 40))
    assert fused_bytes(left, right) == 40 + 10 + 40
    assert fused_bytes(right, left) == 40 + 10 + 40


def test_without_the_sizes_of_a_value_what_moves_is_not_known() -> None:
    known = node("m.a/Relu", 0, inputs=("x",), outputs=("r",), bytes=80, sizes=(40, 40))
    for other in (
        node("m.b/Relu", 0, inputs=("y",), outputs=("s",), bytes=80),
        node("m.b/Relu", 0, inputs=("y",), outputs=("s",), bytes=80, sizes=(None, 40)),
        node("m.b/Relu", 0, inputs=("x",), outputs=("s",), bytes=80, sizes=(None, 40)),
    ):
        assert fused_bytes(known, other) is None
        assert fused_bytes(other, known) is None


def test_nodes_that_move_nothing_need_no_sizes() -> None:
    nothing = (node(f"m.{name}/Reshape", 0, bytes=0) for name in "ab")
    assert fused_bytes(*nothing) == 0
    little = node("m.a/Cast", 0, inputs=("x",), outputs=("y",), bytes=1, sizes=(1, 0))
    rest = node("m.b/Cast", 0, inputs=("y",), outputs=("z",), bytes=0, sizes=(0, 0))
    assert fused_bytes(little, rest) == 1
