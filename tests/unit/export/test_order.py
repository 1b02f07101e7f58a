"""Nodes in any order are sorted, those of bodies and functions too; what has no order is left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from perfsuite.errors import ConfigError
from perfsuite.export.onnx import load_graph
from perfsuite.export.order import sort_nodes

node = helper.make_node


def model(
    nodes: Sequence[onnx.NodeProto], functions: Sequence[onnx.FunctionProto] = ()
) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in "xy")
    c = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    graph = helper.make_graph(nodes, "g", [x, c], [y])
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=functions)


def kinds(found: onnx.ModelProto) -> list[str]:
    return [one.op_type for one in found.graph.node]


def test_nodes_come_after_what_they_read() -> None:
    backwards = [
        node("Add", ["b", "a"], ["y"]),
        node("Abs", ["a"], ["b"]),
        node("Neg", ["x"], ["a"]),
        node("Relu", ["x"], ["unread"]),
    ]
    made = model(backwards)
    sort_nodes(made)
    assert kinds(made) == ["Neg", "Abs", "Add", "Relu"]


def test_what_stands_in_order_stays_where_it_is() -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Neg", ["x"], ["n"]),
        node("Abs", ["n"], ["a"]),
        node("Add", ["r", "a"], ["y"]),
    ]
    made = model(nodes)
    before = made.SerializeToString()
    sort_nodes(made)
    assert made.SerializeToString() == before


def branches(order: int) -> dict[str, onnx.GraphProto]:
    """Return bodies that read `a` of the graph around them, their nodes in or against order."""
    found = {}
    for name, operator in (("then_branch", "Exp"), ("else_branch", "Neg")):
        nodes = [node("Abs", ["a"], [f"{name}_a"]), node(operator, [f"{name}_a"], [f"{name}_b"])]
        result = helper.make_tensor_value_info(f"{name}_b", TensorProto.FLOAT, [3])
        found[name] = helper.make_graph(nodes[::order], name, [], [result])
    return found


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_file_against_the_order_answers_as_onnxruntime_has_it(
    tmp_path: Path, order: int, condition: bool
) -> None:
    path = tmp_path / "net.onnx"
    nodes = [node("If", ["c"], ["y"], **branches(order)), node("Relu", ["x"], ["a"])]
    path.write_bytes(model(nodes).SerializeToString())
    found = load_graph(path)
    onnx.checker.check_model(found)
    assert kinds(found) == ["Relu", "If"]
    inputs = {"x": np.array([1.0, -2.0, 3.0], np.float32), "c": np.array(condition)}
    providers = ["CPUExecutionProvider"]
    given = [path.read_bytes()] if order == 1 else []  # it does not sort the nodes of bodies
    for content in (*given, found.SerializeToString()):
        answer = ort.InferenceSession(content, providers=providers).run(None, inputs)[0]
        relu = np.array([1.0, 0.0, 3.0], np.float32)
        np.testing.assert_allclose(answer, np.exp(relu) if condition else -relu, rtol=1e-6)


def test_nodes_of_a_local_function_are_sorted(tmp_path: Path) -> None:
    inside = [node("Abs", ["n"], ["o"]), node("Neg", ["i"], ["n"])]
    opset = [helper.make_opsetid("", 17)]
    made = helper.make_function("mine", "Both", ["i"], ["o"], inside, opset)
    path = tmp_path / "net.onnx"
    path.write_bytes(model([node("Both", ["x"], ["y"], domain="mine")], [made]).SerializeToString())
    assert kinds(load_graph(path)) == ["Neg", "Abs"]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Add", ["x", "y"], ["a"]), node("Neg", ["a"], ["y"])],
        [node("Add", ["x", "y"], ["y"])],
        [node("Neg", ["a"], ["y"]), node("Abs", ["x"], ["a"]), node("Exp", ["x"], ["a"])],
    ],
    ids=["circle", "of itself", "two of one name"],
)
def test_what_has_no_order_is_left_for_the_checker(
    tmp_path: Path, nodes: list[onnx.NodeProto]
) -> None:
    made = model(nodes)
    sort_nodes(made)
    assert kinds(made) == [one.op_type for one in nodes]
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(ConfigError, match="not a valid ONNX model"):
        load_graph(tmp_path / "net.onnx")


def test_a_long_chain_is_sorted_without_recursion() -> None:
    names = ["x", *(f"v{place}" for place in range(5000)), "y"]
    chain = [node("Neg", [one], [other]) for one, other in pairwise(names)]
    made = model(chain[::-1])
    sort_nodes(made)
    assert [one.output[0] for one in made.graph.node] == names[1:]
