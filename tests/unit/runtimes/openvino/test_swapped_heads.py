"""Attention over as many tokens as heads answers as it should, and is placed where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.openvino.swapped_heads import keep_swaps_apart

openvino = pytest.importorskip("openvino")
engine = pytest.importorskip("onnxruntime")

BATCH, TOKENS, WIDTH = 2, 4, 8
RANDOM = np.random.default_rng(0)
node = helper.make_node


def attention(heads: int, form: str, tokens: int | str = TOKENS) -> onnx.ModelProto:
    """Return an attention, `joined` (one product gives query, key and value) or `apart`.

    `unswapped` answers per head. All but the joined one swap the query's heads and tokens.
    """
    held: dict[str, Any] = {
        "half": np.float32(0.5),
        "one": np.array([0, 0, heads, WIDTH]),
        "three": np.array([0, 0, 3, heads, WIDTH]),
        "first": np.array([0]),
        **{
            f"w{one}": RANDOM.normal(0, 0.4, (8, heads * WIDTH)).astype(np.float32) for one in "qkv"
        },
        "w": RANDOM.normal(0, 0.4, (8, 3 * heads * WIDTH)).astype(np.float32),
    }
    if form == "joined":
        nodes = [
            node("MatMul", ["x", "w"], ["all"], "all"),
            node("Reshape", ["all", "three"], ["parts"], "parts"),
            node("Transpose", ["parts"], ["turned"], "turned", perm=[2, 0, 3, 1, 4]),
            node("Split", ["turned"], ["q1", "k1", "v1"], "split", axis=0),
            *(node("Squeeze", [f"{one}1", "first"], [one], f"{one}/row") for one in "qkv"),
        ]
    else:
        nodes = [
            made
            for one in "qkv"
            for made in (
                node("MatMul", ["x", f"w{one}"], [f"{one}1"], f"{one}/product"),
                node("Reshape", [f"{one}1", "one"], [f"{one}2"], f"{one}/shape"),
                node("Transpose", [f"{one}2"], [one], f"{one}/swap", perm=[0, 2, 1, 3]),
            )
        ]
    nodes += [
        node("Transpose", ["k"], ["kt"], "key", perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "kt"], ["scores"], "scores"),
        node("Mul", ["scores", "half"], ["scaled"], "scaled"),
        node("Softmax", ["scaled"], ["shares"], "shares", axis=-1),
        node("MatMul", ["shares", "v"], ["mixed"], "mixed"),
        node("Transpose", ["mixed"], ["answer"], "swap", perm=[0, 2, 1, 3]),
        node("Relu", ["mixed" if form == "unswapped" else "answer"], ["y"], "relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", tokens, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("form", ["joined", "apart", "unswapped"])
@pytest.mark.parametrize("tokens", [TOKENS, "tokens"])
def test_heads_do_not_read_answers_of_other_heads(
    form: str, tokens: int | str, tmp_path: Path
) -> None:
    graph = attention(TOKENS, form, tokens)
    onnx.save(graph, tmp_path / "model.onnx")
    (tmp_path / "made").mkdir()
    specs = (InputSpec("x", "float32", ("batch", tokens, 8)),)
    manifest = Manifest("openvino", "cpu", "fp32", 1, specs, ("y",), False, False)
    runtime = OpenVino()
    runtime.build(Variant(tmp_path / "model.onnx", None, False), manifest, tmp_path / "made")
    inputs = {"x": RANDOM.normal(size=(BATCH, TOKENS, 8)).astype(np.float32)}
    with runtime.open(tmp_path / "made", manifest, SessionOptions(BATCH, 1, True)) as session:
        (found,) = session.run(inputs)
        named = {name for one in session.profile([inputs], 1).kernels for name in one.origins}
    (wanted,) = engine.InferenceSession(graph.SerializeToString()).run(None, inputs)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert {"mixed", "relu"} <= named <= {one.name for one in graph.graph.node}


def test_attention_in_a_branch_answers_as_it_should(tmp_path: Path) -> None:
    graph = inside_branch(attention(TOKENS, "apart"))
    x = RANDOM.normal(size=(BATCH, TOKENS, 8)).astype(np.float32)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def swaps(graph: onnx.ModelProto, path: Path, sides: list[int]) -> list[int]:
    """Return how many sides each swap of heads and tokens has, once they are kept apart."""
    onnx.save(graph, path)
    model = openvino.Core().read_model(str(path))
    model.reshape(sides)
    keep_swaps_apart(model)
    keep_swaps_apart(model)  # what is apart stays as it is
    orders = [
        [int(one) for one in layer.input_value(1).get_node().data]
        for layer in model.get_ordered_ops()
        if layer.get_type_name() == "Transpose"
    ]
    return sorted(len(order) for order in orders if order[:4] == [0, 2, 1, 3])


def test_only_swaps_that_keep_all_sides_are_kept_apart(tmp_path: Path) -> None:
    path, sides = tmp_path / "model.onnx", [1, TOKENS, 8]
    assert swaps(attention(TOKENS, "joined"), path, sides) == [5]
    assert swaps(attention(TOKENS - 1, "joined"), path, sides) == [4]
    # The answer's and the query's; the other two are second operands.
    assert swaps(attention(TOKENS, "apart"), path, sides) == [4, 4, 5, 5]
