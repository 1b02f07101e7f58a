"""An engine that misreads a graph is found where rounding would hide it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from on_openvino import answer_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.task import Outputs, Task
from perfsuite.errors import BuildError, ParityError
from perfsuite.runner.build.reference import graph_outputs
from perfsuite.runner.build.unrounded import require_unrounded, unrounded

pytest.importorskip("onnxruntime")

X = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)


def enlarged(**settings: Any) -> onnx.ModelProto:
    """Return a picture that is rounded to steps of 0.5 and enlarged."""
    held = {
        "step": np.float32(0.5), "zero": np.uint8(128),
        "by": np.array([1, 1, 1.5, 1.5], np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"]),
        helper.make_node("Resize", ["d", "", "by"], ["y"], **settings),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy")
    x.CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8]))
    y.CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, 12, 12]))
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def ask(model: onnx.ModelProto, folder: Path, change: float = 0.0) -> None:
    onnx.save(model, folder / "graph.onnx")

    def answers(path: Path) -> Outputs:
        return [one + np.float32(change) for one in graph_outputs(path, {"x": X})]

    require_unrounded(Task(), folder / "graph.onnx", {"x": X}, "openvino", answers)


def test_nothing_is_rounded_any_more(tmp_path: Path) -> None:
    model = unrounded(enlarged(mode="nearest"))
    assert model is not None
    assert [node.op_type for node in model.graph.node] == ["Identity", "Resize"]
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "graph.onnx")
    answer = graph_outputs(tmp_path / "graph.onnx", {"x": X})[0]
    assert {*answer.ravel()} == {*X.ravel()}


def test_integers_that_are_computed_with_are_left_alone(tmp_path: Path) -> None:
    model = enlarged(mode="nearest")
    first, last, resize = model.graph.node
    resize.input[0], resize.output[0], last.input[0], last.output[0] = "q", "r", "r", "y"
    del model.graph.node[:]
    model.graph.node.extend([first, resize, last])
    assert unrounded(model) is None
    ask(model, tmp_path, change=1.0)


def test_an_engine_that_answers_otherwise_in_float_is_told(tmp_path: Path) -> None:
    ask(enlarged(mode="cubic"), tmp_path)
    with pytest.raises(ParityError, match=r"openvino computes something else .* in float too"):
        ask(enlarged(mode="cubic"), tmp_path, change=0.01)


def test_an_engine_that_does_not_run_it_says_nothing(tmp_path: Path) -> None:
    onnx.save(enlarged(mode="cubic"), tmp_path / "graph.onnx")

    def answers(path: Path) -> Outputs:
        raise BuildError(f"{path.name} is not taken")

    require_unrounded(Task(), tmp_path / "graph.onnx", {"x": X}, "openvino", answers)


def test_openvino_is_found_to_misread_what_is_excluded(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "graph.onnx"
    onnx.save(enlarged(mode="cubic", exclude_outside=1), path)

    def answers(file: Path) -> Outputs:
        return [answer_of(onnx.load(file), X, tmp_path)]

    with pytest.raises(ParityError, match="in float too"):
        require_unrounded(Task(), path, {"x": X}, "openvino", answers)
