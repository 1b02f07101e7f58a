"""Layers behind a sum over an axis are in 8 bits where an engine must not round sums."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from fuzzed_checks import answers, context, plain, samples
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.int8.sums import as_means
from perfsuite.passes.int8.unchanged import difference

RNG = np.random.default_rng(0)
BRANCHES = 2
node = helper.make_node


def model(
    *behind: str, opset: int = 13, axes: tuple[int, ...] = (1,), keepdims: int = 0
) -> onnx.ModelProto:
    """Return branches of a convolution, which are weighted, added up, and read by another."""
    held = {
        "w": RNG.normal(0, 0.3, (8 * BRANCHES, 3, 3, 3)).astype(np.float32),
        "v": RNG.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32),
        "gate": RNG.uniform(0.2, 1.5, (1, BRANCHES, 8, 1, 1)).astype(np.float32),
        "sides": np.array([-1, BRANCHES, 8, 6, 6]),
        "back": np.array([0, -1, 6, 6]),
        "axes": np.array(axes),
    }
    nodes = [
        node("Conv", ["x", "w"], ["c"], "first", pads=[1] * 4),
        node("Reshape", ["c", "sides"], ["s"], "branches"),
        node("Mul", ["s", "gate"], ["g"], "gated"),
        node("ReduceSum", ["g", "axes"], ["r0"], "sum", keepdims=keepdims),
        *(node(one, [f"r{at}"], [f"r{at + 1}"], one) for at, one in enumerate(behind)),
        node("Reshape", [f"r{len(behind)}", "back"], ["flat"], "flat"),
        node("Conv", ["flat", "v"], ["y"], "second", pads=[1] * 4),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("axes", [(1,), (-4,)])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_sum_is_a_mean_times_their_count(
    opset: int, axes: tuple[int, ...], keepdims: int
) -> None:
    given = model(opset=opset, axes=axes, keepdims=keepdims)
    made = as_means(given, ("ReduceSum",))
    kinds = [one.op_type for one in made.graph.node]
    assert kinds[3:5] == ["ReduceMean", "Mul"]
    assert "ReduceSum" not in kinds
    assert made.graph.node[3].name == "sum"
    counts = [t for t in made.graph.initializer if t.name == made.graph.node[4].input[1]]
    assert numpy_helper.to_array(counts[0]) == BRANCHES
    assert difference(given, made, [samples(given, 3, 0)], ["y"]) == ""


def test_other_sums_stay() -> None:
    given = model()
    assert as_means(given, ("ReduceMax",)) is given  # of an engine that may round sums
    unread = model()
    unread.graph.node[-1].input[0] = "c"  # the layer reads another value
    unread.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.zeros((8, 8 * BRANCHES, 3, 3), np.float32), "v")
    )
    assert as_means(unread, ("ReduceSum",)) is unread
    batch = model(axes=(0,))
    assert as_means(batch, ("ReduceSum",)) is batch  # of how many samples is not known


@pytest.mark.parametrize("behind", [(), ("Relu",)])
def test_openvino_computes_the_layer_behind_in_8_bits(behind: tuple[str, ...]) -> None:
    pytest.importorskip("openvino")
    net = model(*behind)
    wanted = plain(net, samples(net, 4, 2))
    assert wanted is not None
    rounded = Int8(calibration_samples=16).apply(net, context("openvino", net))
    made = {one.output[0]: one for one in rounded.graph.node}
    flat = next(one for one in rounded.graph.node if one.name == "flat")
    assert made[flat.input[0]].op_type == "DequantizeLinear"
    (ours,) = answers("openvino", rounded, True)
    assert np.linalg.norm(ours - wanted[0]) < 0.03 * np.linalg.norm(wanted[0])
