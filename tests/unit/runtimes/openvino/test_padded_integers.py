"""Padding has values of zero, whatever the zero point is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper
from rounded_groups import grouped, volumes

from perfsuite.runtimes.openvino.padded_integers import keep_padding_zero

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

PADDED = {"pads": [1] * 6}


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        ((2, 3), PADDED),
        ((1, 2), PADDED),
        ((4, 3), PADDED),
        ((4, 4), PADDED),
        ((1, 1), PADDED),
        ((2, 2), {"auto_pad": "SAME_UPPER"}),
        ((2, 2), {"own_padding": True}),
        ((2, 2), {}),
    ],
)
def test_padding_is_zero(
    channels: tuple[int, int], settings: dict[str, Any], tmp_path: Path
) -> None:
    graph, x = grouped(*channels, **settings), volumes(channels[0])
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(np.abs(wanted).max()))


def test_groups_in_branches_are_found(tmp_path: Path) -> None:
    graph, x = inside_branch(grouped(**PADDED)), volumes(2)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("channels", "settings", "count"),
    [
        ((2, 3), PADDED, 1),
        ((2, 3), {**PADDED, "zero": 0}, 0),
        ((2, 3), {}, 0),
        ((1, 1), PADDED, 0),
        ((4, 8), PADDED, 0),
    ],
)
def test_only_what_would_be_wrong_is_kept_in_float(
    channels: tuple[int, int], settings: dict[str, Any], count: int
) -> None:
    graph = grouped(*channels, **settings)
    model = openvino.Core().read_model(graph.SerializeToString())
    for _ in range(2):
        keep_padding_zero(model)
    assert sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops()) == count


def padded(sides: int, mode: str = "constant", zero: int = 120) -> onnx.ModelProto:
    """Return padding of values in 8 bits, of which the result is rounded, too."""
    held = {
        "step": np.float32(0.05), "zero": np.uint8(zero),
        "pads": np.array([0, 0, *[1] * (sides - 2)] * 2, np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"], "d"),
        helper.make_node("Pad", ["d", "pads"], ["p"], "p", mode=mode),
        helper.make_node("QuantizeLinear", ["p", "step", "zero"], ["r"], "r"),
        helper.make_node("DequantizeLinear", ["r", "step", "zero"], ["y"], "y"),
    ]
    x, y = (helper.make_tensor_value_info(one, TensorProto.FLOAT, [None] * sides) for one in "xy")
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("sides", [3, 4])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_pads_are_zero(sides: int, mode: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, *[5] * (sides - 2))).astype(np.float32)
    graph = padded(sides, mode)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=0.051)


@pytest.mark.parametrize(
    ("settings", "count"),
    [((3,), 1), ((3, "reflect"), 0), ((3, "constant", 0), 0), ((4,), 0)],
)
def test_only_pads_that_would_be_wrong_are_kept_in_float(
    settings: tuple[Any, ...], count: int
) -> None:
    model = openvino.Core().read_model(padded(*settings).SerializeToString())
    for _ in range(2):
        keep_padding_zero(model)
    assert sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops()) == count
