"""Zeros around what convolutions read become their own padding, and answers stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.export.fold import simplified
from perfsuite.passes.int8.pads import with_own_padding
from perfsuite.passes.int8.unchanged import difference

RNG = np.random.default_rng(0)
SIDES = [1, 4, 8, 8]
ZERO, ONE = np.float32(0), np.float32(1)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), outputs, **attributes)


def model(nodes: list[onnx.NodeProto], outputs: str, **constants: Any) -> onnx.ModelProto:
    held = {"w": RNG.normal(size=(4, 4, 3, 3)).astype(np.float32), "pads": pads(), **constants}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SIDES)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def pads(top: int = 1, left: int = 0, bottom: int = 2, right: int = 1) -> np.ndarray:
    return np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)


def changed(given: onnx.ModelProto) -> list[tuple[str, list[int]]]:
    """Return operators and paddings of the changed graph, which must answer as before."""
    made = with_own_padding(given)
    x = RNG.normal(size=SIDES).astype(np.float32)
    assert difference(given, made, [{"x": x}], [one.name for one in given.graph.output]) == ""
    return [
        (one.op_type, next((list(a.ints) for a in one.attribute if a.name == "pads"), []))
        for one in made.graph.node
    ]


@pytest.mark.parametrize(
    ("pad", "own", "padded"),
    [
        (node("Pad", "x pads", "p"), {}, [1, 0, 2, 1]),
        (node("Pad", "x pads zero", "p"), {"pads": [1, 1, 0, 0]}, [2, 1, 2, 1]),
        (node("Pad", "x few  axes", "p"), {"auto_pad": "VALID"}, [1, 0, 2, 1]),
    ],
    ids=["alone", "beside its own", "by axes"],
)
def test_a_convolution_pads_by_itself(
    pad: onnx.NodeProto, own: dict[str, Any], padded: list[int]
) -> None:
    if "axes" in pad.input[-1]:
        pad.input[:] = ["x", "few", "", "axes"]
    held = {"zero": ZERO, "few": np.array([1, 0, 2, 1]), "axes": np.array([2, -1])}
    given = model([pad, node("Conv", "p w", "y", strides=[2, 2], **own)], "y", **held)
    assert changed(given) == [("Conv", padded)]


def test_all_that_read_it_pad_by_themselves_and_others_read_it() -> None:
    nodes = [
        node("Pad", "x pads", "p"),
        node("Pad", "p pads", "q"),
        node("Conv", "p w", "y"),
        node("Conv", "q w", "z"),
        node("MaxPool", "p", "m", kernel_shape=[2, 2]),
    ]
    found = changed(model(nodes, "y z m"))
    assert found == [
        ("Pad", []), ("Conv", [1, 0, 2, 1]), ("Conv", [2, 0, 4, 2]), ("MaxPool", []),
    ]  # fmt: skip


def test_an_output_stays() -> None:
    given = model([node("Pad", "x pads", "p"), node("Conv", "p w", "y")], "y p")
    assert changed(given) == [("Pad", []), ("Conv", [1, 0, 2, 1])]


@pytest.mark.parametrize(
    ("pad", "own"),
    [
        (node("Pad", "x pads one", "p"), {}),
        (node("Pad", "x pads", "p", mode="edge"), {}),
        (node("Pad", "x less", "p"), {}),
        (node("Pad", "x others", "p"), {}),
        (node("Pad", "x pads", "p"), {"auto_pad": "SAME_UPPER"}),
    ],
    ids=["by ones", "by the edge", "negative", "channels", "automatic"],
)
def test_what_no_convolution_can_pad_stays(pad: onnx.NodeProto, own: dict[str, Any]) -> None:
    weights = np.ones((4, 5, 3, 3), np.float32) if "others" in pad.input else None
    held = {"one": ONE, "less": pads(top=-1), "others": np.array([0, 1, 0, 0, 0, 0, 0, 0])}
    held |= {} if weights is None else {"w": weights}
    given = model([pad, node("Conv", "p w", "y", **own)], "y", **held)
    assert [kind for kind, _ in changed(given)] == ["Pad", "Conv"]


def test_numbers_that_a_graph_repeats_for_each_axis_are_known_once_it_is_simplified() -> None:
    nodes = [
        node("ConstantOfShape", "four", "zeros", value=helper.make_tensor("v", 7, [1], [0])),
        node("Concat", "zeros ends", "numbers", axis=0),
        node("Pad", "x numbers", "p"),
        node("Conv", "p w", "y"),
    ]
    held = {"four": np.array([6]), "ends": np.array([1, 1])}
    assert changed(simplified(model(nodes, "y", **held))) == [("Conv", [0, 0, 1, 1])]
