"""Inputs that are left out under an empty name are as if they were not named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.left_out import without_empty_names

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")


def linear(*more: str) -> onnx.ModelProto:
    weights = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", *more], ["y"], "linear")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def test_a_bias_without_a_name_is_none(tmp_path: Path) -> None:
    graph, x = linear(""), np.ones((2, 6), np.float32)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_only_the_last_names_are_taken_away() -> None:
    plain = linear()
    assert without_empty_names(plain) is plain
    clip = helper.make_node("Clip", ["x", "", "most", ""], ["y"], "clip")
    plain.graph.node.append(clip)
    assert list(without_empty_names(plain).graph.node[1].input) == ["x", "", "most"]
    assert list(plain.graph.node[1].input) == ["x", "", "most", ""]  # which is not changed
