"""A small-valued map keeps its bits for its own reader beside a large one, on both engines."""

from __future__ import annotations

import tempfile
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fuzzed_checks import answers, context, plain, samples
from fuzzed_graphs import SIDE
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.int8 import Int8


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_small_map_keeps_its_bits_for_its_other_reader(runtime: str) -> None:
    rng = np.random.default_rng(0)
    shapes = {"small": (4, 3, 3, 3), "large": (4, 3, 3, 3), "fine": (4, 4, 1, 1)}
    shapes["joined"] = (4, 8, 1, 1)
    weights = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    weights["large"] *= 100
    nodes = [
        helper.make_node("Conv", ["x", "small"], ["s"], "s", pads=[1] * 4),
        helper.make_node("Conv", ["x", "large"], ["l"], "l", pads=[1] * 4),
        helper.make_node("Concat", ["s", "l"], ["k"], "k", axis=1),
        helper.make_node("Conv", ["k", "joined"], ["y"], "y"),
        helper.make_node("Conv", ["s", "fine"], ["z"], "z"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "yz"],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    wanted = plain(model, samples(model, 4, 2))
    assert wanted is not None
    rounded: onnx.ModelProto = Int8(calibration_samples=16).apply(model, context(runtime, model))
    for ours, theirs in zip(answers(runtime, rounded, True), wanted, strict=True):
        # 8 bits of a normal distribution cost about a hundredth; with one scale `z` loses a half.
        assert np.linalg.norm(ours - theirs) < 0.03 * np.linalg.norm(theirs)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_relu_beside_negative_values_leaves_its_convolution_in_8_bits(runtime: str) -> None:
    """ONNX Runtime fuses a ReLU into the rounding behind it where zero is the least value alone."""
    rng = np.random.default_rng(0)
    shapes = {"first": (4, 3, 3, 3), "second": (4, 3, 3, 3), "last": (4, 8, 1, 1)}
    weights = {name: rng.normal(0, 0.3, shape) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["f"], "f", pads=[1] * 4),
        helper.make_node("Relu", ["f"], ["r"], "r"),
        helper.make_node("MaxPool", ["r"], ["m"], "m", kernel_shape=[1, 1]),
        helper.make_node("Conv", ["x", "second"], ["s"], "s", pads=[1] * 4),
        helper.make_node("Concat", ["m", "s"], ["k"], "k", axis=1),
        helper.make_node("Conv", ["k", "last"], ["y"], "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    wanted = plain(model, samples(model, 4, 2))
    assert wanted is not None
    rounded: onnx.ModelProto = Int8(calibration_samples=16).apply(model, context(runtime, model))
    (ours,) = answers(runtime, rounded, True)
    assert np.linalg.norm(ours - wanted[0]) < 0.03 * np.linalg.norm(wanted[0])
    if runtime == "onnxruntime":
        assert operators(rounded)["QLinearConv"] == 3


def operators(model: onnx.ModelProto) -> Counter[str]:
    """Return what ONNX Runtime makes of a graph."""
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as folder:
        options = ort.SessionOptions()
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return Counter(
            node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node
        )
