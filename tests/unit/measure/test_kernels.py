"""What kernels did, by hand: the work of the nodes that they run, and what they move."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from small_profiles import BIT, kernel, node, profile, rows

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import Kernel, Node, Profile
from perfsuite.errors import PerfsuiteError, Unsupported
from perfsuite.measure.kernels import KernelWork, kernel_work, mean_times
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
    nothing = (
        node(f"m.{name}/Reshape", 0, bytes=0, inputs=(f"{name}1",), outputs=(f"{name}2",))
        for name in "ab"
    )
    assert fused_bytes(*nothing) == 0
    little = node("m.a/Cast", 0, inputs=("x",), outputs=("y",), bytes=1, sizes=(1, 0))
    rest = node("m.b/Cast", 0, inputs=("y",), outputs=("z",), bytes=0, sizes=(0, 0))
    assert fused_bytes(little, rest) == 1


# -- mean times ----------------------------------------------------------------------------------


def refused(broken: Profile) -> str:
    with pytest.raises((PerfsuiteError, Unsupported)) as caught:
        mean_times(broken)
    return str(caught.value)


def test_a_profile_that_contradicts_itself_says_how() -> None:
    assert refused(Profile((), ())) == ("a profile without any call: the engine recorded nothing")
    needs = "the engine must give one a call, for kernels that run in every call"
    one = Kernel("a", "K", (0.5,))
    assert refused(Profile((1.0, 1.0), (one,))) == (
        f"profile: kernel 'a' has 1 times for 2 calls; {needs}"
    )
    twice = Kernel("a", "K", (0.5,), (0.1, 0.2))
    assert refused(Profile((1.0,), (twice,))) == (
        f"profile: kernel 'a' has 2 times for 1 calls; {needs}"
    )
    wrong = "has a time that is negative or not finite"
    assert refused(Profile((-1.0,), ())) == f"profile: the call {wrong}"
    assert refused(Profile((1.0,), (Kernel("a", "K", (0.5,), (math.inf,)),))) == (
        f"profile: kernel 'a' {wrong}"
    )
    assert refused(Profile((1.0,), (Kernel("a", "K", (2.0,)),))) == (
        "the kernels of a call take 2 s, the call itself 1 s: their times do not add up, because "
        "kernels ran at the same time, or the engine counts what it does outside of calls; let it "
        "run one after another (one stream, sequential execution)"
    )


def test_a_kernel_may_take_no_time() -> None:
    assert mean_times(Profile((0.0,), (Kernel("a", "K", (0.0,), (0.0,)),))).kernels_s == (0.0,)


@pytest.mark.parametrize(("units", "fills"), [(0, True), (3, True), (4, False)])
def test_kernels_may_be_longer_than_the_call_by_rounding(units: int, fills: bool) -> None:
    """Each of two times and the call's own is off by up to half a unit of 2**-40 s."""
    unit = 2.0**-40
    kernels = (Kernel("a", "K", (0.5,)), Kernel("b", "K", (0.5 + units * unit,)))
    if not fills:
        assert refused(Profile((1.0,), kernels)).startswith("the kernels of a call take")
        return
    found = mean_times(Profile((1.0,), kernels))
    assert found.total_s == sum(found.kernels_s) == 1.0 + units * unit
    assert found.overhead_s == 0.0


def test_of_four_calls_those_between_the_quartiles_count() -> None:
    # Quartiles 25 and 75 of 0, 25, 75, 100 with 5 values: 25 and 75 themselves belong to them.
    walls = (0.0, 25.0, 50.0, 75.0, 100.0)
    found = mean_times(Profile(walls, (Kernel("a", "K", (0.0, 1.0, 2.0, 6.0, 0.0)),)))
    assert (found.calls, found.total_s, found.kernels_s) == (3, 50.0, (3.0,))
    # Of four, 17.5 and 82.5: two remain; of three all.
    assert mean_times(Profile((0.0, 25.0, 75.0, 100.0), ())).calls == 2
    assert mean_times(Profile((0.0, 50.0, 100.0), ())).calls == 3
    # A hundredth more or less would let others in, or these out.
    hundred = tuple(float(number) for number in range(101))
    assert mean_times(Profile(hundred, ())).calls == 51


# -- whose work it is ----------------------------------------------------------------------------


def test_the_longest_kernel_of_a_node_owns_it_wherever_it_stands() -> None:
    nodes = (node("fc/LSTM", 100, parameters=4, bytes=10, sizes=()),)
    for times_s in ((5.0, 1.0), (1.0, 5.0)):
        kernels = tuple(kernel(f"k{n}", one, "fc/LSTM") for n, one in enumerate(times_s))
        work, rest = kernel_work(kernels, times_s, nodes)
        assert [one.macs for one in work] == [100 * (one == 5.0) for one in times_s]
        assert rest == []


def test_of_a_kernel_with_names_that_no_node_has_nothing_is_known() -> None:
    nodes = (node("fc/Gemm", 100, parameters=4, bytes=10),)
    work, rest = kernel_work((kernel("k", 1, "made up"), kernel("reorder", 1)), (1.0, 1.0), nodes)
    assert work == [KernelWork(None, 0, None), KernelWork(0, 0, 0)]
    assert rest == list(nodes)


def test_what_nothing_reads_or_makes_belongs_to_no_kernel() -> None:
    """A cast of the input whose result is an output too, and what reads constants alone."""
    nodes = (
        node("a/Conv", 9, inputs=("x",), outputs=("c",), bytes=1),
        node("b/Cast", 0, inputs=("x",), outputs=("z",), bytes=1),
        node("c/Shape", 0, inputs=("w",), outputs=("s",), bytes=1),
        node("d/Size", 0, inputs=("s",), outputs=("t",), bytes=1),
    )
    _, rest = kernel_work((kernel("k", 1, "a/Conv"),), (1.0,), nodes)
    assert [one.name for one in rest] == ["b/Cast", "c/Shape", "d/Size"]
