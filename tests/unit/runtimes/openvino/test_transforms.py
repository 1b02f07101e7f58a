"""Fourier transforms are along their axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from fuzzed_checks import check_breakdown
from on_openvino import answer_of, opened, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.transforms import with_single_signals

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

SIDES = (4, 6, 2)
X = np.random.default_rng(0).normal(size=(2, *SIDES)).astype(np.float32)


def transforms(
    *axes: int | None, length: int | None = None, opset: int = 20, **said: int
) -> onnx.ModelProto:
    """Return transforms along axes, one after the other; None leaves the axis out."""
    nodes, held, last = [], {}, "x"
    for place, axis in enumerate(axes):
        read = [last, "", ""]
        if length is not None:
            read[1], held["length"] = "length", np.array(length, np.int64)
        if axis is not None:
            read[2] = f"axis{place}"
            held[read[2]] = np.array(axis, np.int64)
        while not read[-1]:
            read.pop()
        last = f"y{place}"
        nodes.append(helper.make_node("DFT", read, [last], last, **said))
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *SIDES])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    "graph",
    [
        transforms(1),
        transforms(2),
        transforms(-3),
        transforms(None),
        transforms(1, 2),
        transforms(0, inverse=1),
        transforms(-2, length=5),
        transforms(2, onesided=1),
        transforms(1, length=5, onesided=1),
        transforms(None, axis=2, onesided=1, opset=17),
        transforms(None, opset=17),
    ],
)
def test_it_is_along_its_axis(graph: onnx.ModelProto, tmp_path: Path) -> None:
    x = X[..., :1] if "onesided" in str(graph) else X
    graph.graph.input[0].type.tensor_type.shape.dim[3].dim_value = x.shape[3]
    np.testing.assert_allclose(answer_of(graph, x, tmp_path), wanted_of(graph, x), atol=1e-5)


def test_what_is_added_is_the_transform_in_breakdowns(tmp_path: Path) -> None:
    graph = transforms(2)
    with opened(graph, X, tmp_path) as session:
        check_breakdown(session.profile([{"x": X}], 2), graph, {"x": X})


def test_what_is_read_rightly_stays() -> None:
    for graph in (transforms(1, -3), transforms(None, opset=17)):
        assert with_single_signals(graph) is graph
