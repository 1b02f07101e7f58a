"""A graph that averages values in 8 bits, padded in one way or another."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 16


def pooling(
    *,
    zero: int | None = 100,
    own_padding: bool = False,
    rounded: bool = True,
    opset: int = 18,
    **settings: Any,
) -> onnx.ModelProto:
    """Return a pooling of values in 8 bits with a zero point, of which the result is rounded, too.

    They are in float if `zero` is None. `own_padding` are zeros that an operator of its own adds.
    """
    held = {
        "scale": np.float32(0.03), "zero": np.uint8(zero or 0),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    }  # fmt: skip
    nodes, last = [], "x"

    def add(kind: str, *more: str, **given: Any) -> None:
        nonlocal last
        result = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, [last, *more], [result], result, **given))
        last = result

    def round_it() -> None:
        add("QuantizeLinear", "scale", "zero")
        add("DequantizeLinear", "scale", "zero")

    if zero is not None:
        round_it()
    if own_padding:
        add("Pad", "pads")
    add("AveragePool", **{"kernel_shape": [3, 3], "strides": [2, 2], **settings})
    if zero is not None and rounded:
        round_it()
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8, SIDE, SIDE])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def pictures() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(0.5, 3.0, (2, 8, SIDE, SIDE)).astype(np.float32)
