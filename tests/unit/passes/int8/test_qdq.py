"""Numbers of the quantization, computed by hand, and what is written into a graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.qdq import (
    Scheme,
    activation_parameters,
    has_scale,
    have_scales,
    insert,
    quantized_weights,
)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"),
    [
        (0.0, 255.0, 1.0, 0),  # what a ReLU gives: zero is the least value of the type
        (-1.0, 1.55, 0.01, 100),
        (2.0, 5.1, 0.02, 0),  # zero belongs to the range, also where it was never seen
        (-5.1, -2.0, 0.02, 255),
        (0.0, 0.0, 1.0, 0),  # a dead tensor
        (-1.007, 1.543, 0.01, 101),  # the nearest to 100.7
        (-1.003, 1.547, 0.01, 100),  # the nearest to 100.3
    ],
)
def test_unsigned_parameters(low: float, high: float, scale: float, zero: int) -> None:
    got_scale, got_zero = activation_parameters(low, high, signed=False)
    assert got_scale == pytest.approx(scale, rel=1e-6)
    assert (int(got_zero), got_zero.dtype) == (zero, np.uint8)


def test_signed_parameters_are_symmetric() -> None:
    scale, zero = activation_parameters(-2.54, 1.0, signed=True)
    assert scale == pytest.approx(0.02, rel=1e-6)
    assert (int(zero), zero.dtype) == (0, np.int8)


@pytest.mark.parametrize("greatest", [1e-45, 380 * 2.0**-149, 1e-37])
def test_of_a_scale_that_is_a_denormal_engines_make_zeros_or_no_kernel(greatest: float) -> None:
    for signed in (False, True):
        assert not has_scale(-greatest, 0.0, signed=signed)
        assert not has_scale(0.0, greatest, signed=signed)
        assert has_scale(0.0, 0.0, signed=signed)
        assert activation_parameters(0.0, 0.0, signed=signed) == (1.0, 0)
        assert has_scale(-1e-35, greatest, signed=signed)


@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32), st.booleans())
@example(0.0, 1e-35, False)  # the scale is about the least that has all bits of a float
def test_values_in_range_are_off_by_at_most_one_step(a: float, b: float, signed: bool) -> None:
    low, high = min(a, b), max(a, b)
    scale, zero = activation_parameters(low, high, signed=signed)
    assume(has_scale(low, high, signed=signed))
    limits = (-128, 127) if signed else (0, 255)
    for value in (0.0, low, (low + high) / 2, high):
        rounded = np.clip(np.rint(value / float(scale)) + int(zero), *limits)
        back = (rounded - int(zero)) * float(scale)
        assert abs(back - value) <= float(scale) * 1.001
        assert value != 0 or back == 0


def test_weights_have_one_scale_a_channel() -> None:
    weights = np.array([[1.27, -0.635], [0.0, 0.0], [-2.54, 0.02]], np.float32)
    rounded, scales = quantized_weights(weights, 0, 127)
    np.testing.assert_allclose(scales, [0.01, 1.0, 0.02], rtol=1e-6)
    assert rounded.dtype == np.int8
    np.testing.assert_array_equal(rounded, [[127, -64], [0, 0], [-127, 1]])


def test_weights_of_seven_bits() -> None:
    rounded, scales = quantized_weights(np.array([[0.63, -0.31]], np.float32), 0, 63)
    assert scales[0] == pytest.approx(0.01, rel=1e-6)
    np.testing.assert_array_equal(rounded, [[63, -31]])


def test_channels_of_denormals_become_zeros_beside_far_larger_ones_alone() -> None:
    weights = np.array([[190.0, -190.0], [1.27, 0.0], [1e-37, -1e-38]], np.float32)
    weights[0] *= np.float32(2.0**-149)
    rounded, scales = quantized_weights(weights, 0, 127)
    np.testing.assert_allclose(scales, [1.0, 0.01, 1.0])
    np.testing.assert_array_equal(rounded, [[0, 0], [127, 0], [0, 0]])
    assert have_scales(weights, 0, 127)
    assert have_scales(np.zeros((2, 3), np.float32), 0, 127)
    assert not have_scales(np.array([[1e-34], [1e-37]], np.float32), 0, 127)
    assert not have_scales(weights[[0, 2]], 0, 127)


def test_weights_along_the_second_axis_and_a_least_scale() -> None:
    weights = np.array([[127.0, 1e-30]], np.float32)
    rounded, scales = quantized_weights(weights, 1, 127, np.array([0.5, 0.25]))
    np.testing.assert_allclose(scales, [1.0, 0.25])
    np.testing.assert_array_equal(rounded, [[127, 0]])


def linear_graph(bias: float = 3.0) -> onnx.GraphProto:
    weights = numpy_helper.from_array(np.array([[1.27, 1e-30]], np.float32), "w")
    biases = numpy_helper.from_array(np.array([bias, bias], np.float32), "b")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], "fc/Gemm")
    return helper.make_graph([node], "linear", [x], [y], [weights, biases])


def quantized(graph: onnx.GraphProto, **changes: bool | int) -> onnx.GraphProto:
    given = {"signed": False, "weight_limit": 127, "sum_in_accumulator": False, **changes}
    scheme = Scheme(**given)  # type: ignore[arg-type]
    placement = place(graph, sum_in_accumulator=scheme.sum_in_accumulator)
    insert(graph, placement, {t: (0.0, 255.0) for g in placement.groups for t in g}, scheme)
    onnx.checker.check_graph(graph)
    return graph


def constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def transposed_graph() -> onnx.GraphProto:
    """A ConvTranspose of 2 channels to 3, whose weights are (in, out, height, width)."""
    values = np.array([[1.27, -0.2, 0.3], [0.1, 2.54, -5.08]], np.float32)
    weights = numpy_helper.from_array(values[:, :, None, None], "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, 4, 4])
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], "up/ConvTranspose")
    return helper.make_graph([node], "transposed", [x], [y], [weights])


def test_a_transposed_convolution_has_one_scale_for_each_channel_that_it_gives() -> None:
    graph = quantized(transposed_graph(), sum_in_accumulator=True)
    found = constants(graph)
    np.testing.assert_allclose(found["w_scale"], [0.01, 0.02, 0.04], rtol=1e-6)
    np.testing.assert_array_equal(
        found["w_int8"][:, :, 0, 0], np.array([[127, -10, 8], [10, 127, -127]])
    )
    (axis,) = (
        attribute.i
        for node in graph.node
        for attribute in node.attribute
        if attribute.name == "axis"
    )
    assert axis == 1


def test_bias_stays_float_and_float_weights_go() -> None:
    graph = quantized(linear_graph(), sum_in_accumulator=True)
    assert [node.op_type for node in graph.node] == [
        *("QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Gemm")
    ]
    gemm = graph.node[-1]
    assert (gemm.name, gemm.input[2], gemm.output[0]) == ("fc/Gemm", "b", "y")
    found = constants(graph)
    assert found["b"].dtype == np.float32
    assert "w" not in found
    np.testing.assert_array_equal(found["w_int8"], [[127, 0]])
    assert graph.node[2].attribute[0].i == 1  # the axis of output channels
    assert all(node.name.startswith("fc/") for node in graph.node)


def pooled_graph() -> onnx.GraphProto:
    """Two convolutions with a pooling between them, whose result another node reads, too."""
    weights = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 4, 4])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, 2, 2]) for name in "yz"
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "a/Conv"),
        helper.make_node("MaxPool", ["a"], ["p"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w"], ["y"], "b/Conv"),
        helper.make_node("Sigmoid", ["p"], ["z"], "sigmoid"),
    ]
    return helper.make_graph(nodes, "pooled", [x], outputs, [weights])


@pytest.mark.parametrize("asked", [False, True])
def test_a_pair_stands_before_each_layer_where_the_engine_wants_it(asked: bool) -> None:
    graph = quantized(pooled_graph(), sum_in_accumulator=True, pairs_before_layers=asked)
    makers = {output: node for node in graph.node for output in node.output}
    layer = next(node for node in graph.node if node.name == "b/Conv")
    before = makers[layer.input[0]]
    assert before.op_type == ("DequantizeLinear" if asked else "MaxPool")
    if asked:
        assert makers[before.input[0]].input[1:] == before.input[1:] == ["a_scale", "a_zero"]


def test_a_bias_fits_into_int32_where_weights_have_died() -> None:
    found = constants(quantized(linear_graph(bias=1000.0)))
    # In units of the input's scale (1) and the weights' scale, as engines round it.
    assert np.abs(found["b"] / found["w_scale"]).max() <= 2**30 * 1.001


def test_a_float_result_gets_its_bias_after_an_integer_product() -> None:
    graph = quantized(linear_graph())
    gemm, add = graph.node[-2:]
    assert (gemm.op_type, len(gemm.input)) == ("Gemm", 2)
    assert (add.op_type, list(add.input), list(add.output)) == (
        *("Add", [gemm.output[0], "b"]),
        ["y"],
    )


def test_activations_of_each_kind() -> None:
    assert constants(quantized(linear_graph()))["x_zero"].dtype == np.uint8
    assert constants(quantized(linear_graph(), signed=True))["x_zero"].dtype == np.int8
