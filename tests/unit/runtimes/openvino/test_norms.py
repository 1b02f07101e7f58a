"""Norms over some axes are those over these axes, in branches too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper

from perfsuite.export.parts import part_of
from perfsuite.runtimes.openvino.norms import with_sums

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

SIDES = (3, 4, 5)
X = np.random.default_rng(0).uniform(0.2, 3.0, (2, *SIDES)).astype(np.float32)


def norm(operator: str, opset: int = 17, **said: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], "norm", **said)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *SIDES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    "graph",
    [
        norm("ReduceL1", 13, axes=[1]),
        norm("ReduceL1", axes=[-1, 1], keepdims=0),
        norm("ReduceLogSum", axes=[1, 2]),
        norm("ReduceLogSumExp", axes=[2]),
        norm("ReduceLogSumExp", axes=[1, -1], keepdims=0),
        norm("ReduceLogSumExp"),  # over all axes, which is read rightly
        norm("GlobalLpPool"),
        norm("GlobalLpPool", 12, p=1),
        norm("GlobalLpPool", p=3),
        inside_branch(norm("ReduceL1", axes=[1])),
    ],
)
def test_it_is_over_its_axes(graph: onnx.ModelProto, tmp_path: Path) -> None:
    x = X - 1.5 if "Log" not in str(graph) else X
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_exponentials_do_not_become_infinite(tmp_path: Path) -> None:
    graph, x = norm("ReduceLogSumExp", axes=[1]), X * 200
    np.testing.assert_allclose(answer_of(graph, x, tmp_path), wanted_of(graph, x), rtol=1e-5)


def test_the_last_step_has_the_name_of_the_norm() -> None:
    made = with_sums(norm("ReduceL1", axes=[1])).graph
    assert [node.name for node in made.node] == [part_of(made.node[-1], "0"), "norm"]
    assert made.node[-1].output[0] == "y"


def test_what_is_read_rightly_stays() -> None:
    for graph in (norm("ReduceL2", axes=[1]), norm("ReduceL1", 12, axes=[1])):
        assert with_sums(graph) is graph
