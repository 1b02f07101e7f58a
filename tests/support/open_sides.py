"""ONNX files whose inputs have open sides, of the kinds that exporters write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Side = int | str | None


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Side]],
    outputs: Mapping[str, Sequence[Side] | None],
    weights: Mapping[str, np.ndarray] | None = None,
    types: Mapping[str, int] | None = None,
) -> Path:
    """Write a graph whose inputs and outputs are floats, but for those of `types`."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kinds = types or {}
    infos = [
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), sides)
            for name, sides in values.items()
        ]
        for values in (inputs, outputs)
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "net", infos[0], infos[1], constants)
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def node(kind: str, given: str, gives: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, given.split(), gives.split(), f"{kind}_{gives}", **attributes)


def segmenter(path: Path, sides: Sequence[Side] = ("N", 3, "h", "w")) -> Path:
    """Write two convolutions: the scores of two classes for each pixel."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (4, 3, 3, 3), "w2": (2, 4, 1, 1)}
    weights = {name: rng.normal(size=one).astype(np.float32) for name, one in shapes.items()}
    nodes = [
        node("Conv", "x w1", "c", pads=[1] * 4),
        node("Relu", "c", "r"),
        node("Conv", "r w2", "y"),
    ]
    return save(path, nodes, {"x": sides}, {"y": ("N", 2, None, None)}, weights)


def folding(path: Path, first: Side = "batch") -> Path:
    """Write a net whose batch is declared open, and folded into features inside: only 1 works."""
    weights = {
        "shape": np.array([1, -1]),
        "w": np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32),
    }
    nodes = [node("Reshape", "x shape", "f"), node("MatMul", "f w", "y")]
    return save(path, nodes, {"x": (first, 3, 2, 2)}, {"y": (first, 5)}, weights)


def running_sum(path: Path, sides: Sequence[Side]) -> Path:
    """Write a sum over the first side: each answer depends on those before it."""
    nodes = [node("CumSum", "x zero", "y")]
    return save(path, nodes, {"x": sides}, {"y": sides}, {"zero": np.array(0)})


def with_positions(path: Path) -> Path:
    """Write what language models take: ids (batch, seq), and positions (seq,)."""
    from onnx import TensorProto

    weights = {
        "words": np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32),
        "axis": np.array([1]),
    }
    nodes = [
        node("Gather", "words ids", "e"),
        node("Unsqueeze", "pos axis", "p"),
        node("Add", "e p", "s"),
        node("ReduceMean", "s", "y", axes=[1], keepdims=0),
    ]
    return save(
        path,
        nodes,
        {"ids": ("batch", "seq"), "pos": ("seq",)},
        {"y": ("batch", 4)},
        weights,
        {"ids": TensorProto.INT64},
    )


def steps_first(path: Path, sides: Sequence[Side] = ("seq", "batch", 4)) -> Path:
    """Write a mean over the first side, the second being the batch."""
    nodes = [node("ReduceMean", "x", "y", axes=[0], keepdims=0)]
    return save(path, nodes, {"x": sides}, {"y": (sides[1], 4)})


def thresholded(path: Path, sides: Sequence[Side] = ("N", 3, 4, 4)) -> Path:
    """Write pictures' means above thresholds: one that is a vector of one, one that is a scalar."""
    nodes = [
        node("GlobalAveragePool", "x", "p"),
        node("Flatten", "p", "f"),
        node("Sub", "f iou", "d"),
        node("Mul", "d scale", "y"),
    ]
    inputs = {"x": sides, "iou": (1,), "scale": ()}
    return save(path, nodes, inputs, {"y": (sides[0], 3)})


def without_batch(path: Path, sides: Sequence[Side] = (3, 6, 8)) -> Path:
    """Write what takes one picture without a side for samples: the scores of five classes."""
    weights = {
        "first": np.array([0]),
        "w": np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32),
    }
    nodes = [
        node("Unsqueeze", "x first", "p"),
        node("Conv", "p w", "c"),
        node("ReduceMean", "c", "y", axes=[0, 2, 3], keepdims=0),
    ]
    return save(path, nodes, {"x": sides}, {"y": (5,)}, weights)
