"""Which graphs on bytes overflow 16 bits where a processor lacks VNNI."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from overflowing_net import net

from perfsuite.export.overflow import fits_16_bits

SCALE, ZERO = np.float32(0.1), np.uint8(0)


def model(nodes: list[onnx.NodeProto], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)


def pair(value: str, scale: str, zero: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [value, scale, zero], [f"{value}_q"]),
        helper.make_node("DequantizeLinear", [f"{value}_q", scale, zero], [f"{value}_d"]),
    ]


def product(largest: int, kind: type = np.int8, zero: Any = ZERO) -> onnx.ModelProto:
    """Return a product with weights of one type, the largest of them in one place."""
    weights = np.zeros((4, 4), kind)
    weights[2, 1] = largest
    nodes = [
        *pair("x", "s", "z"),
        helper.make_node("DequantizeLinear", ["w", "s"], ["w_d"]),
        helper.make_node("Transpose", ["w_d"], ["w_t"]),
        helper.make_node("MatMul", ["x_d", "w_t"], ["y"]),
    ]
    return model(nodes, w=weights, s=SCALE, z=zero)


def contrib(kind: str, read: list[str], made: list[str], **attributes: Any) -> onnx.NodeProto:
    """Return a node of an operator that ONNX Runtime adds."""
    return helper.make_node(kind, read, made, domain="com.microsoft", **attributes)


@pytest.mark.parametrize(
    ("largest", "fits"), [(0, True), (64, True), (-64, True), (65, False), (-128, False)]
)
def test_two_products_fit_below_65(largest: int, fits: bool) -> None:
    """2 * 255 * 64 = 32640, and 2 * 255 * 65 = 33150 is above 32767."""
    assert fits_16_bits(product(largest)) is fits


def test_what_engines_do_in_several_ways_is_not_known() -> None:
    assert fits_16_bits(product(127, np.uint8)) is None, "unsigned weights"
    assert fits_16_bits(product(127, zero=np.int8(0))) is None, "signed activations"


def test_a_graph_that_multiplies_no_bytes_is_not_told_of() -> None:
    assert fits_16_bits(net()) is None
    rounded = [*pair("x", "s", "z"), helper.make_node("Relu", ["x_d"], ["y"])]
    assert fits_16_bits(model(rounded, s=SCALE, z=ZERO)) is None
    stored = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["w_d"]),
        helper.make_node("MatMul", ["x", "w_d"], ["y"]),
    ]
    weights = np.full((4, 4), 127, np.int8)
    assert fits_16_bits(model(stored, w=weights, s=SCALE)) is None, "it multiplies floats"


@pytest.mark.parametrize(("largest", "fits"), [(64, True), (127, False)])
def test_operators_on_bytes_count_too(largest: int, fits: bool) -> None:
    weights = np.full((4, 4), largest, np.int8)
    dynamic = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["x_q", "x_s", "x_z"]),
        helper.make_node("MatMulInteger", ["x_q", "w", "x_z"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT),
    ]
    assert fits_16_bits(model(dynamic, w=weights)) is fits
    written = [
        pair("x", "s", "z")[0],
        helper.make_node("QLinearMatMul", ["x_q", "s", "z", "w", "s", "v", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    assert fits_16_bits(model(written, w=weights, s=SCALE, z=ZERO, v=np.int8(0))) is fits
    fused = [
        dynamic[0],
        contrib("MatMulIntegerToFloat", ["x_q", "w", "x_s", "s", "x_z"], ["y"]),
    ]
    assert fits_16_bits(model(fused, w=weights, s=SCALE)) is fits
    read = ["x_q", "w", "b", "s", "s", "", "z"]
    attention = [pair("x", "s", "z")[0], contrib("QAttention", read, ["y"], num_heads=1)]
    assert fits_16_bits(model(attention, w=weights, b=SCALE, s=SCALE, z=ZERO)) is fits
    narrow = np.full((4, 4), 64, np.int8)
    for gates, recurrent in ((weights, narrow), (narrow, weights)):
        lstm = [contrib("DynamicQuantizeLSTM", ["x", "w", "r", *[""] * 5, *"szsz"], ["y"])]
        assert fits_16_bits(model(lstm, w=gates, r=recurrent, s=SCALE, z=np.int8(0))) is fits


def test_one_wide_layer_is_enough_and_one_unknown_layer_leaves_it_open() -> None:
    wide, narrow = np.full((4, 4), 127, np.int8), np.full((4, 4), 63, np.int8)
    nodes = [
        *pair("x", "s", "z"),
        helper.make_node("DequantizeLinear", ["w", "s"], ["w_d"]),
        helper.make_node("MatMul", ["x_d", "w_d"], ["a"]),
        *pair("a", "s", "z"),
        helper.make_node("DequantizeLinear", ["v", "s"], ["v_d"]),
        helper.make_node("MatMul", ["a_d", "v_d"], ["y"]),
    ]
    unsigned = np.full((4, 4), 127, np.uint8)
    assert fits_16_bits(model(nodes, w=narrow, v=narrow, s=SCALE, z=ZERO)) is True
    assert fits_16_bits(model(nodes, w=narrow, v=wide, s=SCALE, z=ZERO)) is False
    assert fits_16_bits(model(nodes, w=narrow, v=unsigned, s=SCALE, z=ZERO)) is None
