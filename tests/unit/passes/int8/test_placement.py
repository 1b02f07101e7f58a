"""Which tensors are quantized, and which share a scale, on graphs small enough to say by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.placement import channel_axis, place
from perfsuite.passes.int8.sharing import Placement, Range


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), outputs, **attributes)


def placed(
    nodes: list[onnx.NodeProto],
    accumulator: bool,
    *outputs: str,
    ranges: dict[str, Range] | None = None,
) -> Placement:
    """Place in a graph with the input `x`, weights `w1`, `w2`, `w3` and some other constants."""
    weights = [numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), f"w{i}") for i in "123"]
    others = {"flat": np.ones((2, 2), np.float32), "zero": np.float32(0), "one": np.float32(1)}
    numbers = {"shape": np.array([0, -1]), "pads": np.array([0] * 8)}
    named = [numpy_helper.from_array(np.asarray(a), n) for n, a in {**others, **numbers}.items()]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 4, 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [*weights, *named],
    )
    return place(graph, sum_in_accumulator=accumulator, ranges=ranges)


RESIDUAL = [
    node("Conv", "x w1", "c1"),
    node("Relu", "c1", "r1"),
    node("Conv", "r1 w2", "c2"),
    node("Add", "c2 r1", "s"),
    node("Relu", "s", "r2"),
    node("Conv", "r2 w3", "y"),
]


def test_residual_block_where_all_values_are_rounded() -> None:
    placement = placed(RESIDUAL, False, "y")
    assert placement.groups == (("x",), ("r1",), ("c2",), ("r2",), ("y",))
    assert placement.weighted == ("c1", "c2", "y")
    assert placement.carriers == {}


def test_residual_block_where_the_accumulator_sums() -> None:
    placement = placed(RESIDUAL, True, "y")
    assert placement.groups == (("x",), ("r1",), ("r2",))  # neither c2 nor the last result
    assert placement.weighted == ("c1", "c2", "y")


def test_of_two_convolutions_that_are_added_the_last_takes_the_other_in() -> None:
    nodes = [node("Conv", "x w1", "a"), node("Conv", "x w2", "b"), node("Add", "b a", "s")]
    nodes.append(node("Conv", "s w3", "y"))
    assert placed(nodes, True, "y").groups == (("x",), ("a",), ("s",))


def test_a_sum_in_the_accumulator_spares_only_what_no_other_reads() -> None:
    nodes = [
        node("Conv", "x w1", "a"),
        node("Sigmoid", "x", "b"),
        node("Add", "a b", "s"),
        node("Conv", "s w2", "c"),
        node("Add", "c s", "y"),
    ]
    assert placed(nodes, True, "y").groups == (("x",), ("b",), ("s",))
    # Read by another too, or not a convolution's: it is rounded before it is added.
    assert placed(nodes, True, "y", "a").groups == (("x",), ("a",), ("b",), ("s",))


def test_the_later_convolution_takes_the_sum_in_whatever_its_name() -> None:
    for early, late in (("a", "b"), ("b", "a")):
        nodes = [node("Conv", "x w1", early), node("Conv", "x w2", late)]
        nodes.append(node("Add", "a b", "s"))
        assert placed(nodes, True, "s").groups == (("x",), (early,))


def test_the_graphs_own_input_may_be_added() -> None:
    nodes = [node("Conv", "x w1", "c"), node("Add", "x c", "y")]
    assert placed(nodes, True, "y").groups == (("x",),)
    assert placed(nodes, False, "y").groups == (("x",), ("c",), ("y",))
    # The input is no convolution's result, and a branch that is none either.
    twice = [node("Conv", "x w1", "c"), node("Relu", "c", "r"), node("Add", "x r", "y")]
    assert placed(twice, True, "y").groups == (("x",), ("r",))


def test_a_sum_is_rounded_where_all_values_are() -> None:
    nodes = [
        node("Conv", "x w1", "a"),
        node("Conv", "x w2", "b"),
        node("Add", "a b", "s"),
        node("Sigmoid", "s", "y"),
    ]
    assert placed(nodes, False, "y").groups == (("x",), ("a",), ("b",), ("s",))
    assert placed(nodes, True, "y").groups == (("x",), ("a",))


def test_a_result_that_others_read_too_is_quantized_before_its_activation() -> None:
    nodes = [node("Conv", "x w1", "c"), node("Relu", "c", "r")]
    assert placed(nodes, False, "r").groups == (("x",), ("r",))
    assert placed(nodes, False, "r", "c").groups == (("x",), ("c",))


def test_concatenated_and_moved_values_share_one_scale() -> None:
    nodes = [
        node("Conv", "x w1", "a"),
        node("Conv", "x w2", "b"),
        node("Concat", "a b", "ab", axis=1),
        node("Transpose", "ab", "t", perm=[0, 1, 3, 2]),
        node("Split", "t", "left right", axis=1, num_outputs=2),
        node("Conv", "right w3", "c"),
        node("Concat", "left c", "y", axis=1),
        node("Conv", "y w1", "z"),
    ]
    placement = placed(nodes, True, "z")
    # `left` carries a and b into the second concatenation: all of it is one scale.
    # What is taken out of a concatenation is calibrated too.
    assert placement.groups == (("x",), ("a", "b", "c"), ("left",), ("right",))
    assert set(placement.carriers) == {"ab", "t", "left", "right", "y"}
    assert set(placement.carriers.values()) == {1}


JOINED = [
    node("Conv", "x w1", "a"),
    node("Conv", "a w2", "b"),
    node("Concat", "a b", "ab", axis=1),
    node("Conv", "ab w3", "y"),
]


@pytest.mark.parametrize("accumulator", [True, False])
def test_what_others_read_too_has_a_scale_of_its_own_where_ranges_differ(
    accumulator: bool,
) -> None:
    result = () if accumulator else (("y",),)
    wide = {"x": (0.0, 1.0), "a": (-0.1, 0.4), "b": (-1.0, 0.25), "y": (0.0, 1.0)}
    placement = placed(JOINED, accumulator, "y", ranges=wide)
    # `b` is read by the concatenation alone, and rounded to its scale at once.
    assert placement.groups == (("x",), ("a",), ("b", "ab"), *result)
    assert placement.joined == {"ab": (-1.0, 0.4)}
    assert placement.carriers == {}
    # From -0.4 to 0.6 are 1.0, which is twice what `a` covers.
    near = {**wide, "a": (0.1, 0.5), "b": (-0.4, 0.6)}
    placement = placed(JOINED, accumulator, "y", ranges=near)
    assert placement.groups == (("x",), ("a", "b"), *result)
    assert (placement.joined, placement.carriers) == ({}, {"ab": 1})


def test_what_only_a_concatenation_reads_shares_its_scale_however_small() -> None:
    nodes = [
        node("Conv", "x w1", "a"),
        node("MaxPool", "a", "m", kernel_shape=[1, 1]),
        node("Conv", "x w2", "b"),
        node("Concat", "m b", "ab", axis=1),
        node("Conv", "ab w3", "y"),
    ]
    ranges = {"x": (0.0, 1.0), "a": (0.0, 0.01), "b": (0.0, 8.0)}
    placement = placed(nodes, True, "y", ranges=ranges)
    assert placement.groups == (("x",), ("a", "b"))
    # An output of the graph is read by others too, and so is what a shape does not stand for.
    assert placed(nodes, True, "y", "a", ranges=ranges).groups == (("x",), ("a",), ("b", "ab"))
    shape = node("Shape", "a", "s")
    assert placed([*nodes, shape], True, "y", "s", ranges=ranges).groups == placement.groups


def test_scales_do_not_creep_along_a_chain_of_concatenations() -> None:
    nodes = [node("Conv", "x w1", "c0")]
    for index in range(1, 4):
        before = f"k{index - 1}" if index > 1 else "c0"
        nodes.append(node("Conv", f"{before} w1", f"c{index}"))
        nodes.append(node("Concat", f"{before} c{index}", f"k{index}", axis=1))
    nodes.append(node("Conv", "k3 w2", "y"))
    ranges = {"x": (0.0, 1.0), "c0": (0.0, 1.0), "c1": (0.0, 1.5), "c2": (0.0, 2.2)}
    placement = placed(nodes, True, "y", ranges={**ranges, "c3": (0.0, 3.0)})
    # c0 shares with k1 (1.5), not with k2 (2.2), which shares with k3.
    assert placement.groups == (("x",), ("c0", "c1"), ("c2", "k2", "c3"))
    assert placement.joined == {"k2": (0.0, 2.2)}


def test_operands_of_sums_and_choices_never_share() -> None:
    nodes = [
        node("Conv", "x w1", "a"),
        node("Conv", "x w2", "b"),
        node("Add", "a b", "s"),
        node("Max", "a s", "m"),
        node("Where", "x m b", "z"),
        node("Conv", "z w3", "y"),
    ]
    for accumulator in (True, False):
        groups = placed(nodes, accumulator, "y").groups
        assert all(len(group) == 1 for group in groups)


@pytest.mark.parametrize(
    ("move", "moves"),
    [
        (node("Pad", "c pads", "m"), True),
        (node("Pad", "c pads zero", "m"), True),
        (node("Pad", "c pads one", "m"), False),
        (node("Pad", "c pads", "m", mode="reflect"), True),
        (node("MaxPool", "c", "m", kernel_shape=[2, 2]), True),
        (node("MaxPool", "c", "m indices", kernel_shape=[2, 2]), False),
        (node("Resize", "c", "m"), True),
        (node("Resize", "c", "m", mode="nearest"), True),
        (node("Resize", "c", "m", mode="linear"), False),
        (node("Sigmoid", "c", "m"), False),
    ],
)
def test_what_only_moves_values(move: onnx.NodeProto, moves: bool) -> None:
    placement = placed([node("Conv", "x w1", "c"), move, node("Conv", "m w2", "y")], True, "y")
    assert ("m" in placement.carriers) == moves
    assert placement.groups == ((("x",), ("c",)) if moves else (("x",), ("m",)))


def test_an_engine_that_rounds_all_values_mirrors_them_before() -> None:
    nodes = [node("Conv", "x w1", "c"), node("Pad", "c pads", "m", mode="reflect")]
    placement = placed([*nodes, node("Conv", "m w2", "y")], False, "y")
    assert "m" not in placement.carriers
    assert ("m",) in placement.groups


def test_pooling_averages_integers_and_rounds_again() -> None:
    nodes = [
        node("Conv", "x w1", "c"),
        node("GlobalAveragePool", "c", "g"),
        node("Reshape", "g shape", "f"),
        node("Gemm", "f flat", "y"),
    ]
    placement = placed(nodes, True, "y")
    assert placement.groups == (("x",), ("c",), ("g",))
    assert placement.carriers == {"f": 2}
    assert placement.weighted == ("c", "y")


@pytest.mark.parametrize(
    "product",
    [
        node("Gemm", "x flat", "y", alpha=0.5),
        node("Gemm", "x flat", "y", beta=0.5),
        node("Gemm", "x flat", "y", alpha=2.0, beta=2.0),
        node("MatMul", "x w1", "y"),  # batches of matrices
        node("Gemm", "x flat", "y", transA=1),
        node("MatMul", "x x", "y"),
        node("Conv", "w1 w2", "y"),
        node("ConvTranspose", "x w1", "y", group=2),
    ],
)
def test_what_engines_have_no_integer_kernel_for_stays(product: onnx.NodeProto) -> None:
    assert placed([product], False, "y") == Placement((), {}, ())


def test_a_sum_of_what_is_not_integer_stays_float() -> None:
    nodes = [node("Sigmoid", "x", "a"), node("Add", "a x", "s"), node("Conv", "s w1", "y")]
    assert placed(nodes, True, "y").groups == (("s",),)


@pytest.mark.parametrize(
    "product",
    [
        node("Gemm", "x flat", "y", alpha=1.0, beta=1.0, transA=0),
        node("MatMul", "x flat", "y"),
        node("Conv", "x w1", "y"),
        node("ConvTranspose", "x w1", "y", group=1),
    ],
)
def test_what_engines_have_an_integer_kernel_for(product: onnx.NodeProto) -> None:
    assert placed([product], True, "y") == Placement((("x",),), {}, ("y",))


@pytest.mark.parametrize(
    ("product", "axis"),
    [
        (node("Gemm", "x w", "y"), 1),
        (node("Gemm", "x w", "y", transB=0), 1),
        (node("Gemm", "x w", "y", transB=1), 0),
        (node("MatMul", "x w", "y"), 1),
        (node("Conv", "x w", "y"), 0),
        (node("ConvTranspose", "x w", "y"), 1),
    ],
)
def test_where_output_channels_are_counted(product: onnx.NodeProto, axis: int) -> None:
    assert channel_axis(product) == axis


def test_the_result_of_a_pooling_is_rounded_where_all_values_are() -> None:
    nodes = [
        node("Conv", "x w1", "c"),
        node("GlobalAveragePool", "c", "g"),
        node("Sigmoid", "g", "y"),
    ]
    assert placed(nodes, False, "y").groups == (("x",), ("c",), ("g",))
    assert placed(nodes, True, "y").groups == (("x",), ("c",))


def test_what_is_computed_in_float_or_only_joined_is_no_integer() -> None:
    nodes = [node("Conv", "x w1", "c"), node("Sigmoid", "c", "s"), node("Add", "s x", "y")]
    assert placed(nodes, True, "y").groups == (("x",),)
    joined = [
        node("Sigmoid", "x", "a"),
        node("Concat", "a x", "k", axis=1),
        node("Add", "k a", "y"),
    ]
    assert placed(joined, True, "y").groups == ()


@pytest.mark.parametrize("accumulator", [True, False])
def test_what_follows_from_constants_and_sizes_alone_stays_float(accumulator: bool) -> None:
    """A decoder's learned queries, one for each sample, until they meet the picture."""
    nodes = [
        node("Conv", "x w1", "c"),
        node("Shape", "c", "sizes"),
        node("Expand", "w2 sizes", "queries"),
        node("MatMul", "queries flat", "own"),
        node("Add", "own queries", "more"),
        node("Add", "c more", "met"),
        node("Conv", "met w3", "y"),
    ]
    found = placed(nodes, accumulator, "y")
    assert found.weighted == ("c", "y")
    assert not {"queries", "own", "more"}.intersection(*found.groups, found.carriers)
    nodes[3].input[0] = "c"
    assert placed(nodes, accumulator, "y").weighted == ("c", "own", "y")
