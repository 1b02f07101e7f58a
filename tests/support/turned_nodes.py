"""Operators between two Transposes, one of which ONNX Runtime moves past them to the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

X = np.random.default_rng(0).normal(size=(1, 3, 5, 6)).astype(np.float32)


def turned(node: onnx.NodeProto, *before: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    """Return a graph in which `node` makes `b` of `a`, the input x with its channels last."""
    nodes = [
        *before,
        helper.make_node("Transpose", ["x"], ["a"], "first", perm=[0, 2, 3, 1]),
        node,
        helper.make_node("Transpose", ["b"], ["y"], "last", perm=[0, 3, 1, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 5, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list("nchw"))],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def answer(model: onnx.ModelProto, *, optimized: bool) -> np.ndarray:
    levels = ort.GraphOptimizationLevel
    options = ort.SessionOptions()
    level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = ort.InferenceSession(model.SerializeToString(), options)
    found: np.ndarray = session.run(None, {"x": X})[0]
    return found


def resize(*, scales: str = "", sizes: str = "", **said: Any) -> onnx.NodeProto:
    read = ["a", "", scales, sizes] if sizes else ["a", "", scales]
    return helper.make_node("Resize", read, ["b"], **{"axes": [1, -2], "mode": "linear", **said})
