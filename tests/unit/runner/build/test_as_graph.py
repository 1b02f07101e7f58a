"""An engine that computes something else than a rounded graph is found, rounding itself is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Task
from perfsuite.errors import ParityError
from perfsuite.runner.build.as_graph import require_as_graph
from perfsuite.runner.build.likeness import likeness

pytest.importorskip("onnxruntime")

SPEC = InputSpec("x", "float32", ("batch", 4))
MANIFEST = Manifest("openvino", "cpu", "fp32", 2, (SPEC,), ("y",), True, True)
X = np.array([[1.0, 2.0, 3.0, -4.0], [4.0, -1.0, 2.0, 0.5]], np.float32)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Return a graph that rounds values to whole multiples of 0.5."""
    held = {"step": np.float32(0.5), "zero": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy"]
    made = helper.make_graph(
        nodes,
        "graph",
        values[:1],
        values[1:],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in held.items()],
    )
    imports = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(made, opset_imports=imports, ir_version=8), tmp_path / "g.onnx")
    return tmp_path / "g.onnx"


def ask(graph: Path, answer: np.ndarray, expected: np.ndarray = X) -> None:
    class Plain(Task):
        pass

    task = Plain()
    found = likeness(task, MANIFEST, [[expected]], [[answer]])
    require_as_graph(task, MANIFEST, graph, [{"x": X}], [[expected]], found)


def test_an_engine_that_answers_otherwise_than_the_graph_is_told(graph: Path) -> None:
    with pytest.raises(
        ParityError, match=r"openvino computes something else .*\(cosine 0\), .*\(cosine 1\);"
    ):
        ask(graph, X[:, ::-1] * [1, 1, -1, -1])  # at right angles to what is right


def test_an_engine_with_several_times_the_error_of_the_graph_is_told(graph: Path) -> None:
    """As one that scaled a mean by other channels: a cosine of 0.91, and 0.996 by the graph."""
    ask(graph, X + 0.2, X + 0.1)  # twice as far as the graph is, which rounds nothing here
    with pytest.raises(ParityError, match=r"error to fp32 is 0.1\d+ .* stands 0\.0\d+ "):
        ask(graph, X + 0.4, X + 0.1)


def test_an_engine_that_answers_as_the_graph_is_right_however_far_from_fp32(graph: Path) -> None:
    ask(graph, X)
    ask(graph, X, -X)  # the graph itself is the opposite of fp32


def test_what_is_near_fp32_is_not_doubted() -> None:
    ask(Path("no such file"), X + 0.01)
