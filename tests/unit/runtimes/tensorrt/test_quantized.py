"""Files that somebody else has quantized: biases in int32, unsigned and shifted values."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.errors import Unsupported
from perfsuite.runtimes.tensorrt.network import rounded_products
from perfsuite.runtimes.tensorrt.quantized import explicit


def quantized(zero: Any = None) -> onnx.ModelProto:
    """Return a convolution as onnxruntime.quantization writes it."""
    node = helper.make_node
    constants = {
        "s": np.float32(0.5), "z": np.int8(0) if zero is None else zero,
        "w": np.full((2, 1, 1, 1), 3, np.int8),
        "ws": np.float32([0.25, 0.5]), "wz": np.int8([0, 0]), "b": np.int32([8, -4]),
        "bs": np.float32([0.125, 0.25]), "bz": np.int32([0, 0]),
    }  # fmt: skip
    graph = helper.make_graph(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
            node("DequantizeLinear", ["q", "s", "z"], ["xr"], "dq"),
            node("DequantizeLinear", ["w", "ws", "wz"], ["wr"], "weights", axis=0),
            node("DequantizeLinear", ["b", "bs", "bz"], ["br"], "bias", axis=0),
            node("Conv", ["xr", "wr", "br"], ["y"], "conv"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 2, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answers(model: onnx.ModelProto) -> np.ndarray:
    x = np.float32([[[[1, -2], [0.25, 30]]]])
    found: np.ndarray = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    return found


def test_a_bias_in_int32_becomes_the_float_that_it_stands_for() -> None:
    given = quantized()
    made = explicit(given, "engine")
    assert [node.name for node in made.graph.node] == ["q", "dq", "weights", "conv"]
    bias = next(tensor for tensor in made.graph.initializer if tensor.name == "br")
    assert list(numpy_helper.to_array(bias)) == [1.0, -1.0]
    assert not {"b", "bs", "bz"} & {tensor.name for tensor in made.graph.initializer}
    assert np.array_equal(answers(made), answers(given))
    assert len(given.graph.node) == 5
    assert rounded_products(made) == 1


@pytest.mark.parametrize(
    ("zero", "told"),
    [
        (np.uint8(0), "engine rounds to signed integers alone, and 'q' to others"),
        (np.int8(3), "engine takes zero points of 0 alone, and 'q' has another"),
    ],
)
def test_another_form_is_told_with_what_to_do(zero: Any, told: str) -> None:
    with pytest.raises(Unsupported, match=f"{told}; quantize the float model with perfsuite's"):
        explicit(quantized(zero), "engine")


def test_without_a_zero_point_onnx_means_unsigned_integers() -> None:
    given = quantized()
    del given.graph.node[0].input[2]
    with pytest.raises(Unsupported, match="signed integers alone"):
        explicit(given, "engine")


def test_a_graph_without_pairs_is_the_same() -> None:
    given = quantized()
    del given.graph.node[:]
    assert explicit(given, "engine") is given
