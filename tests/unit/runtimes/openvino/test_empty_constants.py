"""Where a branch gives nothing, OpenVINO gives nothing; where nothing is scattered, all stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.runtimes.openvino.empty_constants import with_computed_empties
from perfsuite.runtimes.openvino.runtime import OpenVino

pytest.importorskip("openvino")

NOTHING = np.zeros((0, 2), np.int64)


def value(name: str, kind: int = TensorProto.INT64) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [None, None])


def branch(kind: str) -> onnx.GraphProto:
    """Return a branch whose result has no elements, or that of a constant with two."""
    if kind == "constant":
        nodes = [helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(NOTHING))]
        return helper.make_graph(nodes, "then", [], [value("t")])
    held = np.array([[7, 8]]) if kind == "full" else NOTHING
    nodes = [helper.make_node("Identity", ["w"], ["t"])]
    weights = [numpy_helper.from_array(held, "w")]
    return helper.make_graph(nodes, "then", [], [value("t")], weights)


def model(kind: str) -> onnx.ModelProto:
    """Return: the branch where no value is above 0, else the places of those that are."""
    other = [helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Transpose", ["n"], ["e"])]
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["zero", "most"], ["none"]),
        helper.make_node(
            "If", ["none"], ["y"], "if", then_branch=branch(kind),
            else_branch=helper.make_graph(other, "else", [], [value("e")]),
        ),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [value("y")],
        [numpy_helper.from_array(np.array(0, np.float32), "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", ["constant", "initializer"])
def test_a_branch_that_gives_nothing_gives_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    onnx.save(model(kind), path)
    spec = (InputSpec("x", "float32", ("batch", 3)),)
    manifest = Manifest("openvino", "cpu", "fp32", 1, spec, ("y",), False, False)
    OpenVino().build(Variant(path, None, False), manifest, tmp_path)
    with OpenVino().open(tmp_path, manifest, SessionOptions(1, 1)) as session:
        (nothing,) = session.run({"x": np.full((1, 3), -1, np.float32)})
        (places,) = session.run({"x": np.array([[0, 2, 1]], np.float32)})
    assert nothing.shape == (0, 2)
    assert places.tolist() == [[0, 1], [0, 2]]


def scatter(operator: str, indices: tuple[int, ...]) -> onnx.ModelProto:
    """Return: x, with no updates scattered into it."""
    nodes = [helper.make_node(operator, ["x", "i", "u"], ["y"])]
    x, y = (helper.make_tensor_value_info(one, TensorProto.FLOAT, ["batch", 3]) for one in "xy")
    nowhere = numpy_helper.from_array(np.zeros(indices, np.int64), "i")
    nothing = numpy_helper.from_array(np.zeros((0, 3), np.float32), "u")
    graph = helper.make_graph(nodes, "graph", [x], [y], [nowhere, nothing])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("operator", "indices"), [("ScatterND", (0, 1)), ("ScatterElements", (0, 3))]
)
def test_no_updates_change_nothing(operator: str, indices: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    onnx.save(scatter(operator, indices), path)
    spec = (InputSpec("x", "float32", ("batch", 3)),)
    manifest = Manifest("openvino", "cpu", "fp32", 1, spec, ("y",), False, False)
    OpenVino().build(Variant(path, None, False), manifest, tmp_path)
    x = np.array([[0, 2, 1]], np.float32)
    with OpenVino().open(tmp_path, manifest, SessionOptions(1, 1)) as session:
        np.testing.assert_array_equal(session.run({"x": x})[0], x)


def test_what_gives_something_stays_as_it_is() -> None:
    full = model("full")
    assert with_computed_empties(full) is full
    before = model("initializer")
    after = with_computed_empties(before)
    assert after is not before and before == model("initializer")
    onnx.checker.check_model(after)
