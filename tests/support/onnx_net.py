"""A small classifier as an ONNX file, and what it must answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIDE, CLASSES = 6, 4


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (CLASSES, 8), "b2": (CLASSES,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def expected(x: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
    """Return what the net answers, by NumPy: convolution, ReLU, mean, linear."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    features = np.einsum("nchwij,ocij->nohw", windows, values["w1"])
    features = np.maximum(features + values["b1"][:, None, None], 0.0)
    return np.asarray(features.mean(axis=(2, 3)) @ values["w2"].T + values["b2"])


def save(path: Path, values: dict[str, np.ndarray], **options: Any) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], "linear", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path, **options)
