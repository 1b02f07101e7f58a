"""Ranges end where no reader tells values apart: by hand, and what it does to a net's answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.passes.int8.flattened import seen_by_readers
from perfsuite.passes.int8.int8 import Int8

WIDE = (-20.0, 10.0)


def graph(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.GraphProto:
    """Return nodes that read `t`, which is `x`, and give `y`."""
    return helper.make_graph(
        [helper.make_node("Identity", ["x"], ["t"]), *nodes],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()],
    )


def node(kind: str, *inputs: str, out: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [out], **attributes)


GATE = [
    node("Add", "t", "three", out="a"),
    node("Clip", "a", "zero", "six", out="c"),
    node("Mul", "t", "c", out="m"),
    node("Div", "m", "six"),
]


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        ([node("HardSwish", "t")], (-3.0, 10.0)),
        ([node("HardSigmoid", "t", alpha=0.25, beta=0.5)], (-2.0, 2.0)),
        ([node("Clip", "t", "zero", "six")], (0.0, 6.0)),
        ([node("Clip", "t", "", "six")], (-20.0, 6.0)),
        ([node("Clip", "t", "x")], WIDE),  # a bound that is computed
        ([node("Sigmoid", "t")], (-7.0, 7.0)),
        ([node("Elu", "t", alpha=2.0)], WIDE),
        ([node("Neg", "t")], WIDE),
        ([node("Sigmoid", "t", out="s"), node("Mul", "t", "s")], (-9.0, 10.0)),
        ([node("HardSigmoid", "t", out="s"), node("Mul", "s", "t")], (-2.5, 10.0)),
        (GATE, (-3.0, 10.0)),
        ([node("HardSwish", "t", out="h"), node("Add", "t", "h")], WIDE),  # another reader
        ([node("Sigmoid", "t", out="s"), node("Add", "t", "s")], WIDE),
        ([node("Sigmoid", "x", out="s"), node("Mul", "t", "s")], WIDE),  # no gate of its own
    ],
)
def test_what_readers_tell_apart(nodes: list[onnx.NodeProto], wanted: tuple[float, float]) -> None:
    made = graph(nodes, three=3, zero=0, six=6)
    assert seen_by_readers(made, {"t": WIDE}, {}) == {"t": pytest.approx(wanted)}


def test_the_outputs_of_a_graph_keep_their_ranges() -> None:
    made = graph([node("HardSwish", "t")])
    made.output.add(name="t")
    assert seen_by_readers(made, {"t": WIDE, "y": WIDE}, {}) == {"t": WIDE, "y": WIDE}


def test_a_range_that_nobody_sees_is_a_point() -> None:
    made = graph([node("HardSwish", "t")])
    assert seen_by_readers(made, {"t": (-9.0, -5.0)}, {}) == {"t": (-3.0, -3.0)}
    assert seen_by_readers(made, {"t": (-math.inf, 1.0)}, {}) == {"t": (-3.0, 1.0)}


def test_a_hard_swish_behind_a_wide_convolution_is_exact() -> None:
    """It gives -100 to 1: 101 / 255 would be a step of 0.4, and 4 / 255 is one of 0.016."""
    weights = np.array([1.0, 0.0, -100.0, 0.0], np.float32).reshape(2, 2, 1, 1)
    made = helper.make_graph(
        [node("Conv", "x", "w", out="c"), node("HardSwish", "c")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    inputs = np.random.default_rng(0).random((8, 2, 4, 4), np.float32)

    def refuse(*_: Any) -> Any:
        raise AssertionError("nothing is trained or timed here")

    target = Target("", "cpu", quantized=QuantizedGraphs())
    context = PassContext(
        {"x": inputs[:1]}, lambda count: iter([{"x": inputs}]), refuse, target, Path("none"),
        lambda *_: None, refuse,
    )  # fmt: skip
    import onnxruntime as ort

    answers = [
        ort.InferenceSession(one.SerializeToString()).run(None, {"x": inputs})[0]
        for one in (model, Int8(calibration_samples=8).apply(model, context))
    ]
    first, second = (answer[:, 0] for answer in answers)  # the small channel
    assert np.abs(first - second).max() < 0.02
