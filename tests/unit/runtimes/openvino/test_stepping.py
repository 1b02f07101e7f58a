"""Pointwise layers that step over rounded pixels run in 8 bits, and answer as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import opened, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.stepping import with_pooled_steps

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(1, 3, 16, 16)).astype(np.float32)


def pair(value: str) -> list[onnx.NodeProto]:
    quantize = [value, "scale", "zero"]
    return [
        helper.make_node("QuantizeLinear", quantize, [f"{value}_q"]),
        helper.make_node("DequantizeLinear", [f"{value}_q", *quantize[1:]], [f"{value}_d"]),
    ]


def stage(*strides: int, size: int = 1) -> onnx.ModelProto:
    """Return a layer, and behind it layers of one pixel that read it, with these strides.

    The last of them has windows of `size`.
    """
    held: dict[str, np.ndarray] = {"scale": np.float32(0.03), "zero": np.uint8(128)}
    nodes = [*pair("x"), *pair("r")]
    read = ["x", *["r"] * len(strides)]
    for place, (value, stride) in enumerate(zip(read, (1, *strides), strict=True)):
        channels, side = X.shape[1] if value == "x" else 16, size if place == len(strides) else 1
        weights = RANDOM.integers(-60, 60, (16, channels, side, side)).astype(np.int8)
        held |= {f"w{place}": weights, f"s{place}": np.full(16, 0.005, np.float32)}
        held[f"z{place}"] = np.zeros(16, np.int8)
        scales = [f"{kind}{place}" for kind in "wsz"]
        nodes += [
            helper.make_node("DequantizeLinear", scales, [f"d{place}"], axis=0),
            helper.make_node(
                "Conv",
                [f"{value}_d", f"d{place}"],
                [f"c{place}"],
                f"layer{place}",
                strides=[stride] * 2,
            ),
        ]
    nodes.append(helper.make_node("Relu", ["c0"], ["r"]))
    answers = [f"c{place + 1}" for place in range(len(strides))]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *X.shape[1:]])
    outputs = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in answers]
    tensors = [numpy_helper.from_array(np.asarray(one), name) for name, one in held.items()]
    order = [0, 1, 4, 5, -1, 2, 3]
    sorted_ = [nodes[place] for place in order] + nodes[6:-1]
    graph = helper.make_graph(sorted_, "stage", [x], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_they_run_in_8_bits_and_answer_as_onnxruntime_does(tmp_path: Path) -> None:
    made = stage(2, 2)
    with opened(made, X, tmp_path) as session:
        answers = session.run({"x": X})
        ran = {one.layer: one.precision for one in session.evidence().layers}
    assert {ran["layer1"], ran["layer2"]} == {"int8"}
    np.testing.assert_allclose(answers[0], wanted_of(made, X), rtol=0, atol=0.2)


def test_layers_share_the_pooling_of_what_they_read() -> None:
    found = with_pooled_steps(stage(2, 2))
    assert kinds(found).count("MaxPool") == 1
    given = {node.name: node for node in found.graph.node if node.op_type == "Conv"}
    assert given["layer1"].input[0] == given["layer2"].input[0]
    assert [list(given[name].attribute[0].ints) for name in ("layer1", "layer2")] == [[1, 1]] * 2


@pytest.mark.parametrize(
    "made",
    [stage(1, 1), stage(2, 1), stage(2, 4), stage(2, 2, size=3)],
    ids=["no stride", "another reader", "two strides", "a window"],
)
def test_what_is_read_whole_stays_as_it_is(made: onnx.ModelProto) -> None:
    assert with_pooled_steps(made) is made
