"""Graphs of old operator sets answer the same after they were converted, operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.errors import BuildError
from perfsuite.passes.int8.opsets import converted, opset_of

SHAPE = (2, 3, 4, 4)
Constants = dict[str, np.ndarray]


def one_node(
    opset: int,
    operator: str,
    constants: Constants | None = None,
    outputs: tuple[str, ...] = ("y",),
    **attributes: Any,
) -> onnx.ModelProto:
    """A graph of one node that reads `x`, (2, 3, 4, 4), and then the constants."""
    constants = constants or {}
    node = helper.make_node(operator, ["x", *constants], list(outputs), "node", **attributes)
    return model(opset, [node], constants, outputs)


def model(
    opset: int, nodes: list[onnx.NodeProto], constants: Constants, outputs: tuple[str, ...] = ("y",)
) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


def answers(graph: onnx.ModelProto) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    return list(session.run(None, {"x": x}))


SCALES = np.array([1, 1, 2, 3], np.float32)
KINDS = {
    "linear upsample 9": one_node(9, "Upsample", {"s": SCALES}, mode="linear"),
    "nearest upsample 9": one_node(9, "Upsample", {"s": SCALES}, mode="nearest"),
    "linear upsample 7": one_node(7, "Upsample", mode="linear", scales=SCALES.tolist()),
    "nearest upsample 7": one_node(7, "Upsample", scales=SCALES.tolist()),
    "linear resize 10": one_node(10, "Resize", {"s": SCALES}, mode="linear"),
    "nearest resize 10": one_node(10, "Resize", {"s": SCALES}),
    "smaller linear resize 10": one_node(
        10, "Resize", {"s": np.array([1, 1, 0.5, 0.75], np.float32)}, mode="linear"
    ),
    "smaller nearest resize 10": one_node(
        10, "Resize", {"s": np.array([1, 1, 0.75, 0.75], np.float32)}
    ),
    "smaller nearest resize 10, by a constant node": model(
        10,
        [
            helper.make_node(
                "Constant",
                [],
                ["s"],
                "c",
                value=numpy_helper.from_array(np.array([1, 1, 0.75, 0.75], np.float32)),
            ),
            helper.make_node("Resize", ["x", "s"], ["y"], "r"),
        ],
        {},
    ),
    "resize 11": one_node(11, "Resize", {"r": np.zeros(0, np.float32), "s": SCALES}, mode="linear"),
    "softmax 9": one_node(9, "Softmax"),
    "softmax 11, a middle axis": one_node(11, "Softmax", axis=-2),
    "softmax 11, the last axis": one_node(11, "Softmax", axis=3),
    "softmax 12, all": one_node(12, "Softmax", axis=0),
    "hardmax 9": one_node(9, "Hardmax", axis=1),
    "log softmax 11": one_node(11, "LogSoftmax"),
    "squeeze": model(
        11,
        [
            helper.make_node("Unsqueeze", ["x"], ["u"], "u", axes=[0, 2]),
            helper.make_node("Squeeze", ["u"], ["y"], "s", axes=[0]),
        ],
        {},
    ),
    "reduce sum": one_node(11, "ReduceSum", axes=[1, 3], keepdims=0),
    "reduce all": one_node(11, "ReduceSum"),
    "split": one_node(11, "Split", outputs=("y", "z"), axis=1, split=[1, 2]),
    "equal split": one_node(11, "Split", outputs=("y", "z"), axis=2),
    "slice 9": one_node(9, "Slice", axes=[2, 3], starts=[1, 0], ends=[3, -1]),
    "slice 9, no axes": one_node(9, "Slice", starts=[0, 1], ends=[1, 3]),
    "pad 9": one_node(9, "Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=2.5),
    "reflecting pad 9": one_node(9, "Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect"),
    "clip 9": one_node(9, "Clip", min=0.0, max=0.5),
    "clip 9, above alone": one_node(9, "Clip", max=0.5),
    "dropout 9": one_node(9, "Dropout", ratio=0.3),
    "top-k 9": one_node(9, "TopK", outputs=("y", "z"), k=2, axis=3),
    "batch normalization 7": one_node(
        7, "BatchNormalization", {n: np.array([1, 2, 3], np.float32) for n in "abcd"}, spatial=1
    ),
    "scatter 9": one_node(
        9,
        "Scatter",
        {"i": np.zeros((1, 1, 1, 1), np.int64), "u": np.ones((1, 1, 1, 1), np.float32)},
        axis=1,
    ),
    "of shapes unknown": model(
        9,
        [
            helper.make_node("NonZero", ["x"], ["where"], "n"),
            helper.make_node("Cast", ["where"], ["z"], "c", to=TensorProto.FLOAT),
            helper.make_node("Softmax", ["z"], ["y"], "s"),
        ],
        {},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_the_same(kind: str) -> None:
    before = KINDS[kind]
    given = before.SerializeToString()
    after = converted(before)
    assert before.SerializeToString() == given
    assert opset_of(after) == 13
    for one, other in zip(answers(before), answers(after), strict=True):
        np.testing.assert_array_equal(one, other)


def test_bodies_of_control_flow_are_converted_too() -> None:
    branches = {
        name: helper.make_graph(
            [helper.make_node("Upsample", ["x", "s"], [name], name, mode=mode)],
            name,
            [],
            [onnx.ValueInfoProto(name=name)],
        )
        for name, mode in (("then", "linear"), ("else", "nearest"))
    }
    nodes = [
        helper.make_node(
            "If", ["c"], ["y"], "if", then_branch=branches["then"], else_branch=branches["else"]
        )
    ]
    before = model(9, nodes, {"s": SCALES, "c": np.array(True)})
    for branch in branches.values():
        branch.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    np.testing.assert_array_equal(answers(before)[0], answers(converted(before))[0])


def test_newer_graphs_stay_as_they_are() -> None:
    given = one_node(17, "Softmax")
    assert converted(given) is given


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (one_node(12, "Mystery"), "node 'node': there is no operator Mystery"),
        (
            one_node(
                7, "BatchNormalization", {n: np.ones(3, np.float32) for n in "abcd"}, spatial=0
            ),
            "node 'node': a BatchNormalization with spatial=0",
        ),
        (
            model(
                9,
                [
                    helper.make_node("Dropout", ["x"], ["y", "mask"], "drop"),
                    helper.make_node("Identity", ["mask"], ["z"], "i"),
                ],
                {},
                ("y", "z"),
            ),
            "node 'drop': the mask of a Dropout is read",
        ),
    ],
)
def test_what_has_no_equal_is_refused(given: onnx.ModelProto, why: str) -> None:
    with pytest.raises(BuildError) as caught:
        converted(given)
    assert f"and cannot be converted to 13, which per-channel weights need: {why};" in str(
        caught.value
    )
