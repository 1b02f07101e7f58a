"""Sequences whose tensors are known, taken apart: the answers stay, and no sequence is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.known_sequences import without_known_sequences

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
NUMBERS = {"0": 0, "1": 1, "-1": -1, "2": 2, "1 2": [1, 2]}
SPLIT = ("SplitToSequence", "x", "s", {"axis": 1})


def graph(opset: int, *steps: tuple[str, str, str, dict[str, Any]]) -> onnx.ModelProto:
    """Return a graph of operators with what they read and give; numbers are constants."""
    nodes = [
        helper.make_node(kind, read.split(), [given], f"n{place}", **said)
        for place, (kind, read, given, said) in enumerate(steps)
    ]
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array(value, np.int64), name.replace(" ", "_"))
            for name, value in NUMBERS.items()
        ],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def answer(model: onnx.ModelProto) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": X})[0]
    return found


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize(
    "steps",
    [
        [
            ("Relu", "x", "r", {}),
            ("SequenceConstruct", "x r", "s", {}),
            ("ConcatFromSequence", "s", "y", {"axis": -1}),
        ],
        [
            ("Relu", "x", "r", {}),
            ("SequenceEmpty", "", "e", {}),
            ("SequenceInsert", "e x", "s", {}),
            ("SequenceInsert", "s r 0", "t", {}),
            ("ConcatFromSequence", "t", "y", {"axis": 1, "new_axis": 1}),
        ],
        [SPLIT, ("SequenceAt", "s -1", "y", {})],
        [("SplitToSequence", "x", "s", {"axis": 2, "keepdims": 0}), ("SequenceAt", "s 1", "y", {})],
        [("SplitToSequence", "x 2", "s", {"axis": -2}), ("SequenceAt", "s 1", "y", {})],
        [("SplitToSequence", "x 1_2", "s", {"axis": 1}), ("SequenceAt", "s 1", "y", {})],
        [SPLIT, ("SequenceErase", "s 0", "t", {}), ("SequenceAt", "t 0", "y", {})],
        [
            SPLIT,
            ("SequenceErase", "s", "t", {}),
            ("SequenceLength", "t", "l", {}),
            ("Cast", "l", "f", {"to": TensorProto.FLOAT}),
            ("Mul", "x f", "y", {}),
        ],
    ],
)
def test_known_sequences_are_taken_apart(opset: int, steps: list[Any]) -> None:
    model = graph(opset, *steps)
    before = model.SerializeToString()
    made = without_known_sequences(model)
    assert model.SerializeToString() == before
    assert not {one for one in operators(made) if "Sequence" in one}
    np.testing.assert_array_equal(answer(made), answer(model))
    assert made.graph.node[-1].name == model.graph.node[-1].name


def test_what_is_not_known_stays() -> None:
    open_side = graph(17, ("SplitToSequence", "x", "s", {}), ("SequenceAt", "s 1", "y", {}))
    assert operators(without_known_sequences(open_side)) == {"SplitToSequence", "SequenceAt"}
    plain = graph(17, ("Relu", "x", "y", {}))
    assert without_known_sequences(plain) is plain
