"""A graph of one grouped convolution of three sides, of values and weights in 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, GROUPS = 5, 2


def grouped(
    inputs: int = 2,
    outputs: int = 3,
    *,
    zero: int = 128,
    own_padding: bool = False,
    **settings: Any,
) -> onnx.ModelProto:
    """Return a convolution of two groups with so many inputs and outputs each.

    `zero` is the zero point of its values. `own_padding` are zeros that an operator of its own
    adds.
    """
    rng = np.random.default_rng(0)
    channels = GROUPS * outputs
    held = {
        "scale": np.float32(0.02), "zero": np.uint8(zero),
        "weight": rng.integers(-63, 64, (channels, inputs, 3, 3, 3)).astype(np.int8),
        "steps": np.full(channels, 0.01, np.float32), "none": np.zeros(channels, np.int8),
        "pads": np.array([0, 0, 1, 1, 1] * 2, np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], "d"),
        helper.make_node("DequantizeLinear", ["weight", "steps", "none"], ["w"], "w", axis=0),
    ]
    if own_padding:
        nodes.append(helper.make_node("Pad", ["d", "pads"], ["p"], "p"))
    read = "p" if own_padding else "d"
    nodes.append(helper.make_node("Conv", [read, "w"], ["y"], "y", group=GROUPS, **settings))
    x = helper.make_tensor_value_info(
        "x", TensorProto.FLOAT, ["batch", GROUPS * inputs, *[SIDE] * 3]
    )
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def volumes(inputs: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.standard_normal((2, GROUPS * inputs, *[SIDE] * 3)).astype(np.float32)
