"""A mean of values that cancel out is rounded so that ONNX Runtime runs it."""

from __future__ import annotations

import numpy as np
import pytest
from fuzzed_checks import answers, context
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.int8.pooled import wide_enough


def test_ranges_by_hand() -> None:
    graph = helper.make_graph([helper.make_node("GlobalAveragePool", ["a"], ["b"])], "g", [], [])
    assert wide_enough(graph, {"a": (-64.0, 64.0), "b": (-0.25, 0.5)})["b"] == (-0.25, 1.0)
    assert wide_enough(graph, {"a": (-64.0, 64.0), "b": (-1.0, 0.5)})["b"] == (-1.0, 0.5)
    assert wide_enough(graph, {"a": (0.0, 0.0), "b": (0.0, 0.0)})["b"] == (0.0, 0.0)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_means_of_about_nothing_run(runtime: str) -> None:
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(4, 3, 1, 1)), "v": rng.normal(size=(4, 5))}
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["m"], "m"),
        helper.make_node("Sub", ["x", "m"], ["s"], "s"),
        helper.make_node("Conv", ["s", "w"], ["c"], "c"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], "p"),
        helper.make_node("Flatten", ["p"], ["f"], "f"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "y"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 5])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    rounded = Int8(calibration_samples=16).apply(model, context(runtime, model))
    (ours,) = answers(runtime, rounded, True)
    assert np.isfinite(ours).all()
