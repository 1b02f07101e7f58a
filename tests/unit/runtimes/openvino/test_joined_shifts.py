"""Files whose tokens are joined in 8 bits with a zero point are compiled, and answered rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.joined_shifts import keep_joins_apart

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

TOKENS, FEATURES = 6, 16
X = np.random.default_rng(1).normal(size=(2, TOKENS, FEATURES)).astype(np.float32)


def joined(
    axis: int, *, zero: int = 100, again: bool = False, turned: bool = False, other: float = 0.02
) -> onnx.ModelProto:
    """Return two rounded parts that are joined before a product with weights.

    What is joined is rounded `again`, or has its last two sides `turned`; `other` is the scale of
    the second part.
    """
    rng = np.random.default_rng(0)
    held = {"s": np.float32(0.02), "t": np.float32(other), "z": np.uint8(zero),
            "sw": np.float32(0.01), "zw": np.int8(0)}  # fmt: skip
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, *read: str, **said: object) -> str:
        made = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, read, [made], made, **said))
        return made

    def rounded(name: str, scale: str = "s") -> str:
        return add("DequantizeLinear", add("QuantizeLinear", name, scale, "z"), scale, "z")

    value = add("Concat", rounded("x"), rounded(add("Tanh", "x"), "t"), axis=axis)
    sides = [TOKENS, FEATURES]
    sides[axis - 1] *= 2
    if again:
        value = rounded(value)
    if turned:
        value, sides = add("Transpose", value, perm=[0, 2, 1]), sides[::-1]
    held["w"] = rng.integers(-60, 60, (sides[-1], 8)).astype(np.int8)
    last = add("MatMul", value, add("DequantizeLinear", "w", "sw", "zw"))
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", TOKENS, FEATURES])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def put_apart(graph: onnx.ModelProto, path: Path) -> int:
    """Return how many maxima are in a model that was asked for twice."""
    onnx.save(graph, path)
    model = openvino.Core().read_model(str(path))
    keep_joins_apart(model)
    keep_joins_apart(model)
    return sum(one.get_type_name() == "Maximum" for one in model.get_ops())


@pytest.mark.parametrize(
    "graph",
    [
        joined(1),
        joined(1, again=True),
        joined(1, other=0.013),
        joined(2, turned=True),
    ],
)
def test_tokens_that_are_joined_are_multiplied(graph: onnx.ModelProto, tmp_path: Path) -> None:
    found, wanted = answer_of(graph, X, tmp_path), wanted_of(graph, X)
    # a value on the verge between two integers is rounded to either
    np.testing.assert_allclose(found, wanted, atol=0.02 * 0.6 + 1e-4)
    assert put_apart(graph, tmp_path / "read.onnx") == 1


@pytest.mark.parametrize("graph", [joined(2), joined(1, zero=0)])
def test_what_is_compiled_stays(graph: onnx.ModelProto, tmp_path: Path) -> None:
    assert put_apart(graph, tmp_path / "read.onnx") == 0
    found, wanted = answer_of(graph, X, tmp_path), wanted_of(graph, X)
    np.testing.assert_allclose(found, wanted, atol=0.02 * 0.6 + 1e-4)
