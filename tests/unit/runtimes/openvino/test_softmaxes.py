"""A Softmax of operator sets before 13 is over all sides from its axis on, in branches too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fuzzed_checks import check_breakdown
from inside_branches import inside_branch
from on_openvino import answer_of, opened, wanted_of
from onnx import TensorProto, helper

from perfsuite.runtimes.openvino.softmaxes import with_one_side

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

SIDES = (3, 4, 5)
X = np.random.default_rng(0).normal(size=(2, *SIDES)).astype(np.float32)


def softmax(opset: int = 11, **said: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"], "softmax", **said)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *SIDES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, ir_version=6, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    "graph",
    [
        softmax(),
        softmax(axis=0),
        softmax(axis=-2),
        softmax(12, axis=1),
        softmax(axis=3),
        softmax(10, axis=1),
        softmax(13, axis=1),
        inside_branch(softmax(axis=1)),
    ],
)
def test_it_is_over_its_sides(graph: onnx.ModelProto, tmp_path: Path) -> None:
    np.testing.assert_allclose(
        answer_of(graph, X, tmp_path), wanted_of(graph, X), rtol=1e-5, atol=1e-7
    )


def test_what_is_added_is_the_softmax_in_breakdowns(tmp_path: Path) -> None:
    graph = softmax()
    with opened(graph, X, tmp_path) as session:
        check_breakdown(session.profile([{"x": X}], 2), graph, {"x": X})


def test_what_is_read_rightly_stays() -> None:
    for graph in (softmax(axis=3), softmax(axis=-1), softmax(10), softmax(13, axis=1)):
        assert with_one_side(graph) is graph
