"""Operators past which ONNX Runtime must move no Transpose, where it would."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from inside_branches import inside_branch
from onnx import TensorProto, helper, numpy_helper
from turned_nodes import answer, resize, turned

from perfsuite.export.kept_layouts import with_kept_layouts

HALVES = np.array([1, 1, 0.5, 0.5], np.float32)
CUBIC = helper.make_node("Resize", ["a", "", "by"], ["b"], "resize", mode="cubic")
KEPT = {
    "cubic": turned(CUBIC, by=HALVES),
    "ratio": turned(resize(sizes="to", keep_aspect_ratio_policy="not_larger"), to=[7, 9]),
    "both": turned(
        resize(sizes="to", keep_aspect_ratio_policy="not_smaller", mode="cubic", axes=[-1, 2]),
        to=[7, 9],
    ),
    "open": turned(
        helper.make_node("Pad", ["a", "pads", "", "axes"], ["b"], "pad"),
        helper.make_node("Shape", ["x"], ["axes"], "axes", start=0, end=1),  # 1
        pads=[1, 2],
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_it_can_be_opened_and_answers_as_without_optimizations(kind: str) -> None:
    model = KEPT[kind]
    given = model.SerializeToString()
    found = answer(with_kept_layouts(model), optimized=True)
    assert model.SerializeToString() == given
    np.testing.assert_allclose(found, answer(model, optimized=False), rtol=0, atol=1e-6)


def test_bodies_are_kept_too() -> None:
    inside = inside_branch(KEPT["cubic"])
    found = answer(with_kept_layouts(inside), optimized=True)
    np.testing.assert_allclose(found, answer(inside, optimized=False), rtol=0, atol=1e-6)


def test_what_may_be_moved_stays() -> None:
    linear = helper.make_node("Resize", ["a", "", "by"], ["b"], "resize", mode="linear")
    model = turned(linear, by=HALVES)
    assert with_kept_layouts(model) is model
    named = turned(resize(scales="by"), by=HALVES[2:])
    assert [one.op_type for one in with_kept_layouts(named).graph.node] == [
        "Transpose", "Resize", "Transpose",
    ]  # fmt: skip


@pytest.mark.parametrize("batch", [1, 2])
def test_between_rounded_convolutions(batch: int) -> None:
    """ONNX Runtime itself adds the Transposes there, with the batch known and unknown."""
    model = with_kept_layouts(_rounded())
    x = np.random.default_rng(1).normal(size=(batch, 3, 8, 8)).astype(np.float32)
    options = ort.SessionOptions()
    options.add_free_dimension_override_by_name("batch", batch)
    (found,) = ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    (asked,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    (wanted,) = ort.InferenceSession(_rounded().SerializeToString(), options).run(None, {"x": x})
    assert found.shape == wanted.shape == (batch, 3, 4, 4)
    for one in (found, asked):
        assert np.abs(one - wanted).max() <= 2 * 0.02  # a step of the last rounding, up or down


def _rounded() -> onnx.ModelProto:
    """Return a cubic Resize between convolutions, all of whose results are rounded."""
    rng = np.random.default_rng(0)
    held = {"s": np.float32(0.02), "z": np.uint8(128), "sw": np.float32(0.01), "by": HALVES}
    held["zw"] = np.int8(0)
    nodes: list[onnx.NodeProto] = []

    def add(kind: str, *read: str, **said: object) -> str:
        made = f"{kind}{len(nodes)}"
        nodes.append(helper.make_node(kind, read, [made], made, **said))
        return made

    def rounded(name: str) -> str:
        return add("DequantizeLinear", add("QuantizeLinear", name, "s", "z"), "s", "z")

    def convolved(name: str, weights: str) -> str:
        held[weights] = rng.integers(-20, 20, (3, 3, 3, 3)).astype(np.int8)
        whole = add("DequantizeLinear", weights, "sw", "zw")
        return rounded(add("Conv", name, whole, pads=[1, 1, 1, 1]))

    small = rounded(add("Resize", convolved(rounded("x"), "w1"), "", "by", mode="cubic"))
    last = convolved(small, "w2")
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
