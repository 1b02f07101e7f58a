"""Constants without elements have none on OpenVINO: in branches, loops and scatters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import answer_of
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
    x = np.array([[0, 2, 1]], np.float32)
    np.testing.assert_array_equal(answer_of(scatter(operator, indices), x, tmp_path), x)


def appended() -> onnx.ModelProto:
    """Return: x, appended by a loop to nothing, twice."""
    held = {"two": np.array(2), "yes": np.array(True), "none": np.zeros((0, 3), np.float32)}
    body = helper.make_graph(
        [
            helper.make_node("Concat", ["before", "x"], ["after"], axis=0),
            helper.make_node("Identity", ["going"], ["goes"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, [None, 3]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, [None, 3]),
        ],
    )
    loop = helper.make_node("Loop", ["two", "yes", "none"], ["y"], "loop", body=body)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])
    weights = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph([loop], "graph", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_loop_may_begin_with_nothing(tmp_path: Path) -> None:
    x = np.array([[0, 2, 1]], np.float32)
    np.testing.assert_array_equal(answer_of(appended(), x, tmp_path), np.concatenate([x, x]))


def test_indices_of_no_rows_stay_as_they_are() -> None:
    nodes = [helper.make_node("Gather", ["x", "none"], ["y"])]
    x, y = (helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in "xy")
    graph = helper.make_graph(nodes, "graph", [x], [y], [numpy_helper.from_array(NOTHING, "none")])
    given = helper.make_model(graph)
    assert with_computed_empties(given) is given


def test_what_gives_something_stays_as_it_is() -> None:
    full = model("full")
    assert with_computed_empties(full) is full
    before = model("initializer")
    after = with_computed_empties(before)
    assert after is not before and before == model("initializer")
    onnx.checker.check_model(after)
