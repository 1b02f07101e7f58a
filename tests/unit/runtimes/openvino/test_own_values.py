"""Loops whose bodies repeat names from around them, or give what they were given, are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.own_values import with_own_values

X = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)


def value(name: str, *sides: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, sides)


def loop(carried: str, given: str) -> onnx.ModelProto:
    """Return a loop that carries weights `w` as `carried`, and gives them as `given`.

    A branch in it reads them.
    """
    result = [value("inner", "N", 4)]
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["s", carried], ["inner"])], name, [], result
        )
        for name, kind in (("then", "MatMul"), ("else", "Gemm"))
    }
    nodes = [
        helper.make_node("Cast", ["i"], ["late"], to=TensorProto.BOOL),
        helper.make_node("If", ["late"], ["q"], **branches),
        helper.make_node("Tanh", ["q"], ["s_next"]),
        helper.make_node("Identity", ["again"], ["again_next"]),
    ]
    if given != carried:
        nodes.append(helper.make_node("Identity", [carried], [given]))
    told = [value("i", kind=TensorProto.INT64), value("again", kind=TensorProto.BOOL)]
    body = helper.make_graph(
        nodes,
        "body",
        [*told, value("s", "N", 4), value(carried, 4, 4)],
        [value("again_next", kind=TensorProto.BOOL), value("s_next", "N", 4), value(given, 4, 4)],
    )
    constants = {"n": np.array(3), "c": np.array(True), "w": WEIGHTS}
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "c", "x", "w"], ["y", "w_last"], "loop", body=body)],
        "g",
        [value("x", "batch", 4)],
        [value("y", "batch", 4)],
        [numpy_helper.from_array(one, name) for name, one in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


@pytest.mark.parametrize(
    ("carried", "given"),
    [("w", "w"), ("w", "w_next"), ("v", "v")],  # the first is Paddle's way
)
def test_a_loop_is_read_as_onnxruntime_has_it(tmp_path: Path, carried: str, given: str) -> None:
    made = loop(carried, given)
    found = answer_of(made, X, tmp_path)
    np.testing.assert_allclose(found, wanted_of(made, X), rtol=0, atol=1e-6)


def test_each_value_has_a_name_of_its_own() -> None:
    made = loop("w", "w")
    (node,) = with_own_values(made).graph.node
    body = node.attribute[0].g
    assert [one.name for one in body.input] == ["i", "again", "s", "w_1"]
    assert [one.name for one in body.output] == ["again_next", "s_next", "w_1_1"]
    reads = [one.g.node[0].input[1] for one in body.node[1].attribute]
    assert reads == ["w_1", "w_1"]
    assert list(node.input) == ["n", "c", "x", "w"]


def test_other_bodies_stay_as_they_are() -> None:
    made = loop("v", "v_next")
    assert with_own_values(made) is made
