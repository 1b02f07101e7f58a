"""Operators that name their axes, behind a Transpose that ONNX Runtime moves past them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from onnx import TensorProto, helper
from turned_nodes import answer, resize, turned

from perfsuite.export.whole_axes import with_whole_axes

PAD = helper.make_node("Pad", ["a", "pads", "", "axes"], ["b"], "pad")
SIZES = helper.make_node("Shape", ["x"], ["pads"], "sizes", start=0, end=2)  # 1 and 3
RATIOS = helper.make_node("Cast", ["pads"], ["by"], "ratios", to=TensorProto.FLOAT)


@pytest.mark.parametrize(
    "model",
    [
        turned(PAD, pads=[1, 2, 3, -1], axes=[1, 2]),
        turned(PAD, pads=[1, 2, 3, 4], axes=[-2, 0]),
        turned(PAD, pads=[1, 2], axes=[2]),
        turned(PAD, pads=[1, 2, 0, 1, 0, 0, 2, 3], axes=[3, 1, 2, 0]),  # of all, which it answers
        turned(PAD, SIZES, axes=[-2]),
        turned(helper.make_node("CenterCropPad", ["a", "to"], ["b"], axes=[2, -3]), to=[4, 8]),
        turned(resize(sizes="to"), to=[7, 9]),
        turned(resize(scales="by"), by=np.array([0.5, 2.0], np.float32)),
        turned(resize(scales="by"), SIZES, RATIOS),
    ],
)
def test_all_axes_are_given_numbers(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    made = with_whole_axes(model)
    assert model.SerializeToString() == before
    onnx.checker.check_model(made, full_check=True)
    (pad,) = (one for one in made.graph.node if one.output[0] == "b")
    assert pad.op_type == "Resize" or len(pad.input) <= 3
    assert "axes" not in [one.name for one in pad.attribute]
    found, wanted = answer(made, optimized=True), answer(model, optimized=False)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        turned(PAD, pads=[1, 2, 3, 4], axes=[-2, 0]),
        turned(PAD, SIZES, axes=[-2]),
        turned(helper.make_node("CenterCropPad", ["a", "to"], ["b"], axes=[2, -3]), to=[4, 8]),
        turned(resize(scales="by"), by=np.array([0.5, 2.0], np.float32)),
    ],
)
def test_bodies_are_given_numbers_too(model: onnx.ModelProto) -> None:
    inside = inside_branch(model)
    made = with_whole_axes(inside)
    found, wanted = answer(made, optimized=True), answer(inside, optimized=False)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_loops_are_given_numbers_too() -> None:
    body = turned(PAD).graph
    del body.input[:]
    body.input.extend(
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        ]
    )
    body.node.append(helper.make_node("Identity", ["on"], ["more"], "on"))
    body.output.insert(0, helper.make_tensor_value_info("more", TensorProto.BOOL, []))
    loop = helper.make_node("Loop", ["times", "start"], ["z"], "loop", body=body)
    model = turned(PAD, times=2, start=True, pads=[1, 2, 3, 4], axes=[1, 2])
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.append(loop)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    made = with_whole_axes(model)
    found, wanted = answer(made, optimized=True), answer(model, optimized=False)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_what_names_no_axes_or_unknown_ones_stays() -> None:
    plain = helper.make_node("Pad", ["a", "pads"], ["b"], "pad")
    model = turned(plain, pads=[0, 1, 2, 0, 0, 1, 2, 0])
    assert with_whole_axes(model) is model
    kept = turned(resize(sizes="to", keep_aspect_ratio_policy="not_larger"), to=[7, 9])
    assert with_whole_axes(kept) == kept
    unknown = turned(PAD, helper.make_node("Identity", ["given"], ["axes"]), pads=[1, 1], given=[1])
    unknown.graph.initializer.pop()
    unknown.graph.input.append(helper.make_tensor_value_info("given", TensorProto.INT64, [1]))
    assert list(with_whole_axes(unknown).graph.node[2].input) == ["a", "pads", "", "axes"]
