"""ONNX nets whose batch is declared open, and that may not keep to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

SIDE, WIDTH, CLASSES = 6, 8, 4


def save_net(path: Path, kind: str) -> None:
    """Write a small convolutional classifier of one of these kinds, with the input `x`.

    - `open`: takes any batch
    - `reshaped`: to (1, `WIDTH`) before its last layer, so that two samples fail
    - `flattened`: to (1, n), so that the answers to two samples are those of one
    - `mixed`: its last operator is a softmax over the samples
    - `anchors`: takes any batch; a second output is a constant
    - `summed`: takes any batch; a second output is one number a call
    - `rows`: its first output has a row for each positive feature, whosever it is
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    tensors = {
        "w1": rng.normal(size=(WIDTH, 3, 3, 3)).astype(np.float32),
        "w2": rng.normal(size=(WIDTH, CLASSES)).astype(np.float32),
        "one": np.array([1, -1 if kind == "flattened" else WIDTH]),
        "places": rng.normal(size=(1, 7, 4)).astype(np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["c"], "conv"),
        node("Relu", ["c"], ["r"], "relu"),
        node("GlobalAveragePool", ["r"], ["p"], "pool"),
    ]
    logits = [node("Flatten", ["p"], ["f"], "flat"), node("MatMul", ["f", "w2"], ["y"], "fc")]
    outputs: Sequence[str] = ["y"]
    if kind == "reshaped":
        nodes += [node("Reshape", ["p", "one"], ["f"], "flat"), logits[1]]
    elif kind == "flattened":
        nodes += [logits[0], node("MatMul", ["f", "w2"], ["m"], "fc")]
        nodes += [node("Reshape", ["m", "one"], ["y"], "last")]
    elif kind == "mixed":
        nodes += [logits[0], node("MatMul", ["f", "w2"], ["m"], "fc")]
        nodes += [node("Softmax", ["m"], ["y"], "last", axis=0)]
    else:
        nodes += logits
    if kind == "anchors":
        nodes, outputs = [*nodes, node("Identity", ["places"], ["a"], "anchors")], ["y", "a"]
    if kind == "summed":
        nodes, outputs = [*nodes, node("ReduceSum", ["y"], ["s"], "sum", keepdims=0)], ["y", "s"]
    if kind == "rows":
        nodes = [*nodes, node("NonZero", ["y"], ["z"], "which")]
        nodes, outputs = [*nodes, node("Transpose", ["z"], ["d"], "rows")], ["d"]
    used = {name for one in nodes for name in one.input}
    shapes: dict[str, list[str | int | None]] = {
        "y": [None, None] if kind == "flattened" else ["n", CLASSES],
        "a": [1, 7, 4],
        "s": [],
        "d": [None, 2],
    }
    types = {"d": TensorProto.INT64}
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(one, types.get(one, TensorProto.FLOAT), shapes[one])
            for one in outputs
        ],
        [numpy_helper.from_array(value, name) for name, value in tensors.items() if name in used],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def pictures(samples: int, seed: int = 0) -> np.ndarray:
    """Return seeded inputs of these nets."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 3, SIDE, SIDE)).astype(np.float32)
