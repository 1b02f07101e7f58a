"""Biases take up the mean error of rounded weights and inputs, and nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.task import Inputs
from perfsuite.passes.int8.correction import correct_biases
from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.qdq import Scheme, insert

# A scale of 0.01: 0.004 becomes 0, 1.266 becomes 1.27, which is the greatest.
WEIGHTS = np.array([[0.004, 1.27], [1.266, 1.27]], np.float32)


def model(layer: onnx.NodeProto, *more: onnx.NodeProto, opset: int = 17, **constants: Any) -> Any:
    sides: list[str | int] = ["batch", 2] + [1, 2] * (layer.op_type == "Conv")
    made = [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in constants.items()]
    graph = helper.make_graph(
        [layer, *more],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sides)],
        made,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def corrected(plain: onnx.ModelProto, *batches: Any, sums: bool = True) -> onnx.ModelProto:
    scheme = Scheme(signed=False, weight_limit=127, sum_in_accumulator=sums)
    placement = place(plain.graph, sum_in_accumulator=sums)
    rounded = onnx.ModelProto()
    rounded.CopyFrom(plain)
    ranges = {name: (0.0, 255.0) for group in placement.groups for name in group}
    insert(rounded.graph, placement, ranges, scheme)
    given: list[Inputs] = [{"x": np.array(batch, np.float32)} for batch in batches]
    correct_biases(rounded, plain, placement.weighted, given)
    onnx.checker.check_model(rounded)
    return rounded


def bias_of(rounded: onnx.ModelProto, operator: str) -> np.ndarray:
    (node,) = [node for node in rounded.graph.node if node.op_type == operator]
    constants = {tensor.name: tensor for tensor in rounded.graph.initializer}
    found = [constants[name] for name in node.input if name in constants]
    return numpy_helper.to_array(found[-1])


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("bias", [None, [3.0, 4.0]])
def test_a_convolution_gets_the_mean_error_of_each_channel(
    bias: list[float] | None, opset: int
) -> None:
    weights = WEIGHTS.reshape(2, 2, 1, 1)
    named = {"w": weights} if bias is None else {"w": weights, "b": bias}
    plain = model(helper.make_node("Conv", ["x", *named], ["y"], "c"), opset=opset, **named)
    # Means of the inputs 0 and 1 over samples and places: 50 and 7.
    batches = [[[[0.0, 100.0]], [[7.0, 7.0]]]], [[[[50.0, 50.0]], [[0.0, 14.0]]]]
    rounded = corrected(plain, *([one] for one in (batches[0][0], batches[1][0])))
    # The first channel's rounded weights are too small by 0.004, the second's too large by 0.004.
    np.testing.assert_allclose(
        bias_of(rounded, "Conv") - (bias or [0.0, 0.0]), [0.2, -0.2], atol=1e-5
    )


def test_samples_and_not_batches_are_counted() -> None:
    plain = model(
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], "g", transB=1), w=WEIGHTS, b=[1.0, 1.0]
    )
    rounded = corrected(plain, [[30.0, 0.0]], [[60.0, 0.0], [60.0, 0.0]])
    np.testing.assert_allclose(bias_of(rounded, "Gemm"), [1.2, 0.8], atol=1e-5)


def test_a_bias_in_a_node_of_its_own_is_corrected_there() -> None:
    plain = model(
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], "g", transB=1), w=WEIGHTS, b=[1.0, 1.0]
    )
    rounded = corrected(plain, [[50.0, 0.0]], sums=False)
    assert [n.op_type for n in rounded.graph.node][-2:] == ["Gemm", "Add"]
    np.testing.assert_allclose(bias_of(rounded, "Add"), [1.2, 0.8], atol=1e-5)


def test_a_product_takes_it_up_in_the_sum_that_follows() -> None:
    product = helper.make_node("MatMul", ["x", "w"], ["p"], "m")
    shared = helper.make_node("Add", ["b", "p"], ["y"], "a")
    plain = model(product, shared, w=WEIGHTS.T, b=[[1.0, 1.0]])
    np.testing.assert_allclose(
        bias_of(corrected(plain, [[50.0, 0.0]]), "Add"), [[1.2, 0.8]], atol=1e-5
    )
    # What others read before the sum cannot be corrected in it, nor by a number for all channels.
    read = model(product, shared, w=WEIGHTS.T, b=[[1.0, 1.0]])
    read.graph.output.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 2]))
    assert bias_of(corrected(read, [[50.0, 0.0]]), "Add").tolist() == [[1.0, 1.0]]
    one = model(product, shared, w=WEIGHTS.T, b=1.0)
    assert bias_of(corrected(one, [[50.0, 0.0]]), "Add") == 1.0


def test_what_rounding_the_input_loses_is_made_up_for_too() -> None:
    """The scale of the input is 1: 0.4 becomes 0 in three of four samples, and 8.4 becomes 8."""
    layer = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "g", transB=1)
    plain = model(layer, w=[[1.27, 0.0], [0.0, 1.27]], b=[0.0, 0.0])
    rounded = corrected(plain, [[0.4, 7.0], [0.4, 7.0], [0.4, 7.0], [8.4, 7.0]])
    np.testing.assert_allclose(bias_of(rounded, "Gemm"), [0.4 * 1.27, 0.0], atol=1e-5)


def test_without_samples_nothing_changes() -> None:
    layer = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "g", transB=1)
    plain = model(layer, w=WEIGHTS, b=[1.0, 1.0])
    assert bias_of(corrected(plain), "Gemm").tolist() == [1.0, 1.0]


def test_layers_that_share_a_bias_are_corrected_one_by_one() -> None:
    first = helper.make_node("Gemm", ["x", "w", "b"], ["h"], "g", transB=1)
    second = helper.make_node("Gemm", ["h", "w", "b"], ["y"], "k", transB=1)
    rounded = corrected(model(first, second, w=WEIGHTS, b=[0.0, 0.0]), [[50.0, 0.0]])
    biases = [node.input[2] for node in rounded.graph.node if node.op_type == "Gemm"]
    assert len(set(biases)) == 2


def test_a_bias_that_fills_what_holds_nothing_is_left_as_it_was() -> None:
    """Rows of zeros stay zeros, which an L2 normalization would make as large as all others."""
    plain = model(
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("LpNormalization", ["h"], ["y"], axis=-1, p=2),
        w=WEIGHTS,
        b=[0.0, 0.0],
    )
    scheme = Scheme(signed=False, weight_limit=127, sum_in_accumulator=True)
    placement = place(plain.graph, sum_in_accumulator=True)
    few = {"x": np.array([[100, 9]] + [[0, 0]] * 3, np.float32)}
    for asked in (None, few):
        rounded = onnx.ModelProto()
        rounded.CopyFrom(plain)
        ranges = {name: (0.0, 255.0) for group in placement.groups for name in group}
        insert(rounded.graph, placement, ranges, scheme)
        correct_biases(rounded, plain, placement.weighted, [few], asked)
        assert bias_of(rounded, "Gemm").any() == (asked is None)


def test_a_graph_that_onnxruntime_does_not_run_is_corrected_too() -> None:
    """It may be rounded for an engine that runs more."""
    layer = helper.make_node("Gemm", ["x", "w", "b"], ["h"], "g", transB=1)
    plain = model(layer, helper.make_node("Identity", ["h"], ["y"], "i"), w=WEIGHTS, b=[1.0, 1.0])
    scheme = Scheme(signed=False, weight_limit=127, sum_in_accumulator=True)
    placement = place(plain.graph, sum_in_accumulator=True)
    rounded = onnx.ModelProto()
    rounded.CopyFrom(plain)
    insert(rounded.graph, placement, {"x": (0.0, 255.0)}, scheme)
    next(one for one in rounded.graph.node if one.name == "i").domain = "of.another.engine"
    few = {"x": np.array([[50, 0]], np.float32)}
    correct_biases(rounded, plain, placement.weighted, [few], few)
    np.testing.assert_allclose(bias_of(rounded, "Gemm"), [1.2, 0.8], atol=1e-5)
