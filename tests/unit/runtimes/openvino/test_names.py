"""OpenVINO's layers bear the names of the nodes that they were made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from fuzzed_checks import check_breakdown
from odd_graphs import SIDE, X, Y, model, node, value
from on_openvino import opened
from onnx import TensorProto as T

from perfsuite.export.nodes import graph_nodes
from perfsuite.measure.stages import breakdown
from perfsuite.runtimes.openvino.names import with_identities

pytest.importorskip("openvino")

PICTURES = np.random.default_rng(0).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)


def dropped(*more: str, outputs: tuple[str, ...] = ("d2",), opset: int = 17) -> onnx.ModelProto:
    """Return a net with a Dropout behind its convolution, its activation and its last layer."""
    nodes = [
        node("Conv", ["x", "w1"], ["c"], "conv"),
        node("Dropout", ["c"], ["d1"], "drop1"),
        node("Relu", ["d1"], ["r"], "relu"),
        node("Dropout", ["r", *more], outputs, "drop2"),
        node("GlobalAveragePool", ["d2"], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flatten"),
        node("Gemm", ["f", "w2"], ["g"], "linear"),
        node("Dropout", ["g"], ["y"], "drop3"),
    ]
    given = [Y, *(value(name, None, T.BOOL) for name in outputs[1:])]
    constants = {"half": np.float32(0.5), "yes": np.array(True)}
    return model(nodes, given, more=constants, opset=opset)


def work(graph: onnx.ModelProto, folder: Path) -> dict[str, int | None]:
    """Return the MACs of a call by operator, of a profile that was checked."""
    with opened(graph, PICTURES, folder) as session:
        profile = session.profile([{"x": PICTURES}], 2)
    check_breakdown(profile, graph, {"x": PICTURES})
    rows = breakdown(profile, graph_nodes(graph, {"x": PICTURES}), ()).rows
    return {row.name: row.macs for row in rows if row.level == "stage"}


@pytest.mark.parametrize("outputs", [("d2",), ("d2", "mask")])
def test_a_dropout_takes_no_name_from_the_layer_before_it(
    outputs: tuple[str, ...], tmp_path: Path
) -> None:
    macs = work(dropped(outputs=outputs), tmp_path)
    sums = 2 * (SIDE - 2) ** 2
    assert (macs["Conv"], macs["Gemm"]) == (sums * 3 * 9 * 8, 2 * 8 * 4)
    assert macs.get("Dropout", 0) == 0


def test_a_second_result_is_a_part_of_its_node(tmp_path: Path) -> None:
    rounded = ["r8", "scale", "zero"]
    nodes = [
        node("DynamicQuantizeLinear", ["x"], rounded, "rounding"),
        node("DequantizeLinear", rounded, ["y"], "back"),
    ]
    macs = work(model(nodes, (value("y", ["n", 3, SIDE, SIDE]),), weights={}), tmp_path)
    assert set(macs) <= {"DynamicQuantizeLinear", "DequantizeLinear"}


def test_what_may_drop_something_stays() -> None:
    kinds = [node.op_type for node in with_identities(dropped("half", "yes")).graph.node]
    assert (kinds.count("Identity"), kinds.count("Dropout")) == (2, 1)
    kinds = [node.op_type for node in with_identities(dropped(outputs=("d2", "mask"))).graph.node]
    assert (kinds.count("Identity"), kinds.count("Dropout")) == (2, 1)
    old, none = dropped(opset=6), model([node("Relu", ["x"], ["y"], "relu")], (X,))
    assert with_identities(old) is old
    assert with_identities(none) is none
