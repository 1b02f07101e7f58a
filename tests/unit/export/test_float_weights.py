"""Layers that stay in float among rounded ones do so on ONNX Runtime, too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from outlier_net import outlier_net, pictures
from passing import context

from perfsuite.export.float_weights import with_float_weights
from perfsuite.passes.int8.int8 import Int8

ort = pytest.importorskip("onnxruntime")
RNG = np.random.default_rng(0)
# By kind: the sides of the weights, and attributes.
LAYERS: dict[str, tuple[str, tuple[int, ...], dict[str, int]]] = {
    "conv": ("Conv", (6, 4, 1, 1), {}),
    "depthwise": ("Conv", (4, 1, 1, 1), {"group": 4}),
    "transposed": ("ConvTranspose", (4, 6, 1, 1), {}),
    "gemm": ("Gemm", (4, 6), {}),
    "gemm of transposed weights": ("Gemm", (6, 4), {"transB": 1}),
    "one channel": ("Conv", (6, 1, 1, 1), {}),
    "gemm of one value": ("Gemm", (1, 6), {}),
}


def rounded_around(kind: str) -> onnx.ModelProto:
    """Return a graph with a float layer between values of 8 bits, of which another reads too."""
    operator, sides, attributes = LAYERS[kind]
    weights = RNG.normal(size=sides).astype(np.float32)
    weights.flat[0] *= 100.0  # with one scale for all, the others are zero
    read = 1 if "one" in kind else 4
    given = [2, read] if operator == "Gemm" else [2, read, 3, 3]
    constants = {
        "w": weights,
        "s": np.float32(0.02),
        "z": np.uint8(128),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], "q"),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], "d"),
        helper.make_node(operator, ["xd", "w"], ["y"], "layer", **attributes),
        helper.make_node("QuantizeLinear", ["y", "s", "z"], ["yq"], "q2"),
        helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["out"], "d2"),
        helper.make_node("Relu", ["xd"], ["other"], "relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "rounded",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in ("out", "other")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def run(
    model: onnx.ModelProto, x: np.ndarray, folder: Path, *, optimized: bool = True
) -> tuple[np.ndarray, Counter[str]]:
    """Return the first answer of ONNX Runtime, and the operators that it has made of the graph."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "made.onnx")
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    made = onnx.load(folder / "made.onnx")
    return session.run(None, {"x": x})[0], Counter(node.op_type for node in made.graph.node)


@pytest.mark.parametrize("kind", list(LAYERS))
def test_a_float_layer_keeps_its_weights(kind: str, tmp_path: Path) -> None:
    model = rounded_around(kind)
    sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    x = RNG.normal(size=sides).astype(np.float32)
    spared = with_float_weights(model)
    wanted, _ = run(model, x, tmp_path, optimized=False)
    assert np.array_equal(run(spared, x, tmp_path, optimized=False)[0], wanted)
    found, operators = run(spared, x, tmp_path)
    assert np.abs(found - wanted).max() <= 0.02 * 1.01  # a value between two steps may go to either
    assert not {"QLinearConv", "QGemm"} & operators.keys()
    assert with_float_weights(spared) is spared


def test_what_a_recipe_keeps_in_float_runs_in_float(tmp_path: Path) -> None:
    kept = Int8(64, keep=("body.bad",)).apply(outlier_net(), context("onnxruntime"))
    _, operators = run(with_float_weights(kept), pictures(8), tmp_path)
    assert (operators["Conv"] + operators["FusedConv"], operators["QLinearConv"]) == (1, 3)


def test_a_graph_without_float_layers_is_left_alone() -> None:
    rounded = Int8(64).apply(outlier_net(), context("onnxruntime"))
    assert with_float_weights(rounded) is rounded
    assert with_float_weights(net := outlier_net()) is net
