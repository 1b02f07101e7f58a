"""Scales and shifts before a reduction stay before it, where a model rounds something anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.moved_scales import keep_scales_before

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

CHANNELS, SIDE, STEP = 6, 8, 0.05
HALVES: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
COUNTED: dict[str, Any] = {
    "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "count_include_pad": 1,
}  # fmt: skip


def scaled(
    operator: str,
    settings: dict[str, Any] | None = None,
    *,
    by: str = "Mul",
    rank: int = 4,
    axes: list[int] | None = None,
    rounded: bool = False,
    sign: float = -1.0,
    elsewhere: bool = True,
) -> onnx.ModelProto:
    """Return a reduction of values that are scaled or shifted by channels; others are rounded."""
    rng, ones = np.random.default_rng(0), [CHANNELS, *[1] * (rank - 2)]
    drawn = sign * rng.uniform(0.3, 2.0, CHANNELS)
    held = {
        "by": drawn.reshape(ones), "gamma": drawn, "zeros": np.zeros(CHANNELS),
        "ones": np.ones(CHANNELS), "step": np.float32(STEP),
    }  # fmt: skip
    arrays: dict[str, Any] = {name: np.asarray(one, np.float32) for name, one in held.items()}
    arrays |= {"zero": np.uint8(120), "axes": np.array(axes or [2], np.int64)}
    norm = ["gamma", "zeros", "zeros", "ones"] if by == "BatchNormalization" else ["by"]
    more = ["axes"] if operator.startswith("Reduce") else []
    nodes = [
        helper.make_node(by, ["x", *norm], ["a"], "scale"),
        helper.make_node(operator, ["a", *more], ["y"], "mean", **(settings or {})),
    ]

    def round_it(name: str, result: str) -> None:
        for kind, given, made in (("Quantize", name, result + "q"), ("Dequantize", "", result)):
            read = [given or result + "q", "step", "zero"]
            nodes.append(helper.make_node(f"{kind}Linear", read, [made], made))

    if rounded:
        round_it("y", "z")
    if elsewhere:
        round_it("x", "e")
    names = ["z" if rounded else "y", *(["e"] if elsewhere else [])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape(rank)[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in arrays.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def shape(rank: int) -> tuple[int, ...]:
    return (2, CHANNELS, *[SIDE] * (rank - 2))


CASES = [
    {"operator": "GlobalAveragePool", "rank": 3},
    {"operator": "ReduceMean", "rank": 3, "rounded": True},
    {"operator": "ReduceSum", "rank": 3, "by": "BatchNormalization"},
    {"operator": "ReduceMax", "rank": 3, "sign": 1.0},
    {"operator": "GlobalMaxPool", "rank": 3, "sign": 1.0, "by": "BatchNormalization"},
    {"operator": "ReduceMin", "rank": 3, "sign": 1.0, "rounded": True, "axes": [0]},
    {"operator": "AveragePool", "settings": COUNTED, "by": "Add"},
    {"operator": "AveragePool", "settings": HALVES, "rounded": True},
    {"operator": "AveragePool", "settings": HALVES, "rounded": True, "by": "BatchNormalization"},
]


@pytest.mark.parametrize("settings", CASES)
def test_a_reduction_is_of_what_was_scaled(settings: dict[str, Any], tmp_path: Path) -> None:
    graph = scaled(**settings)
    x = np.random.default_rng(1).normal(size=shape(settings.get("rank", 4))).astype(np.float32)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1.01 * STEP if "rounded" in settings else 1e-4)


def taken(by: str) -> onnx.ModelProto:
    """Return rows of values that were rounded, and then scaled by channels."""
    graph = scaled("Gather", {"axis": 1}, by=by, rank=3, elsewhere=False)
    nodes = graph.graph.node
    nodes[0].input[0] = "r"
    nodes[1].input.append("axes")
    for kind, given, made in (("Dequantize", "q", "r"), ("Quantize", "x", "q")):
        nodes.insert(0, helper.make_node(f"{kind}Linear", [given, "step", "zero"], [made], made))
    return graph


@pytest.mark.parametrize("by", ["Mul", "BatchNormalization"])
def test_rows_are_taken_of_what_was_scaled(by: str, tmp_path: Path) -> None:
    graph = taken(by)
    assert kept(graph) == 1, "the process would die"
    x = np.random.default_rng(1).normal(size=shape(3)).astype(np.float32)
    np.testing.assert_allclose(answer_of(graph, x, tmp_path), wanted_of(graph, x), atol=1e-4)


def kept(graph: onnx.ModelProto) -> int:
    """Return before how many reductions scales are kept, asked twice."""
    model = openvino.Core().read_model(graph.SerializeToString())
    for _ in range(2):
        keep_scales_before(model)
    return sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops())


@pytest.mark.parametrize("settings", CASES)
def test_it_is_kept_where_anything_is_rounded_alone(settings: dict[str, Any]) -> None:
    assert kept(scaled(**settings)) == 1
    assert kept(scaled(**{**settings, "rounded": False, "elsewhere": False})) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"operator": "GlobalAveragePool"},
        {"operator": "AveragePool", "settings": HALVES, "sign": 1.0},
        {"operator": "AveragePool", "settings": HALVES, "by": "Add"},
        {"operator": "MaxPool", "settings": HALVES},
    ],
)
def test_what_is_moved_rightly_may_be(settings: dict[str, Any]) -> None:
    assert kept(scaled(**settings)) == 0
