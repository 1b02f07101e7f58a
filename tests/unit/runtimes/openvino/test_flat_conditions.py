"""Conditions of one element have at most one side where OpenVINO reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.flat_conditions import with_flat_conditions


def branching(keepdims: int) -> onnx.ModelProto:
    """Return a graph whose branch is that of the sign of a sum, which keeps its sides or not."""
    result = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["x"], ["b"])], name, [], result
        )
        for name, kind in (("then", "Exp"), ("else", "Neg"))
    }
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=keepdims),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], "choice", **branches),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy")
    zero = numpy_helper.from_array(np.float32(0), "zero")
    graph = helper.make_graph(nodes, "g", [x], [y], [zero])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_condition_with_sides_chooses_as_onnxruntime_has_it(tmp_path: Path, sign: int) -> None:
    x = np.array([[1, 2, 3]], np.float32) * sign
    made = branching(1)
    np.testing.assert_allclose(answer_of(made, x, tmp_path), wanted_of(made, x), rtol=1e-6)
    assert [one.op_type for one in with_flat_conditions(made).graph.node] == [
        "ReduceSum",
        "Greater",
        "Reshape",
        "If",
    ]


def test_one_without_sides_stays_as_it_is() -> None:
    made = branching(0)
    assert with_flat_conditions(made) is made
