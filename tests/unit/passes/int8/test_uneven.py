"""What joins large values and small ones is not rounded by one scale, unless a layer reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from perfsuite.passes.int8.placement import place

SIDE, TOKENS = 16, 9


def with_a_class_token(*, read_whole: bool) -> onnx.ModelProto:
    """Return a net that joins large tokens with a small one, and reads the one, or all."""
    rng = np.random.default_rng(0)
    weights = {
        "mix": rng.normal(size=(SIDE, SIDE)), "token": 0.05 * rng.normal(size=(1, 1, SIDE)),
        "one": np.ones(SIDE), "zero": np.zeros(SIDE), "last": rng.normal(size=(SIDE, 4)),
        "from": np.array([0]), "to": np.array([TOKENS + 1 if read_whole else 1]),
        "axis": np.array([1]),
    }  # fmt: skip
    make = helper.make_node
    nodes = [
        make("MatMul", ["x", "mix"], ["patches"]),
        make("Concat", ["token", "patches"], ["all"], axis=1),
        make("LayerNormalization", ["all", "one", "zero"], ["even"], axis=-1),
        make("MatMul", ["even", "mix"], ["mixed"]),
        make("Add", ["all", "mixed"], ["sum"]),
        make("Slice", ["sum", "from", "to", "axis"], ["taken"]),
        make("MatMul", ["sum" if read_whole else "taken", "last"], ["y"]),
    ]
    sides = {"x": [1, TOKENS, SIDE], "y": [1, TOKENS + 1 if read_whole else 1, 4]}
    values = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in sides.items()
    }
    integers = ("from", "to", "axis")
    tensors = [
        numpy_helper.from_array(one.astype(np.int64 if name in integers else np.float32), name)
        for name, one in weights.items()
    ]
    graph = helper.make_graph(nodes, "tokens", [values["x"]], [values["y"]], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def calibrated(model: onnx.ModelProto) -> dict[str, tuple[float, float]]:
    """Return the ranges of what is to be calibrated."""
    names = [n for group in place(model.graph, sum_in_accumulator=False).groups for n in group]
    known: dict[str, Any] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    more = onnx.ModelProto()
    more.CopyFrom(model)
    computed = [name for name in names if name != "x" and name not in known]
    del more.graph.output[:]
    more.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in computed)
    x = np.random.default_rng(1).normal(size=(1, TOKENS, SIDE)).astype(np.float32) * 5
    found = dict(zip(computed, ReferenceEvaluator(more).run(None, {"x": x}), strict=True))
    found |= {"x": x, **known}
    return {name: (float(found[name].min()), float(found[name].max())) for name in names}


@pytest.mark.parametrize("in_accumulator", [False, True])
def test_a_small_token_beside_large_ones_is_not_rounded_with_them(in_accumulator: bool) -> None:
    model = with_a_class_token(read_whole=False)
    ranges = calibrated(model)
    placement = place(model.graph, sum_in_accumulator=in_accumulator, ranges=ranges)
    rounded = placement.carriers.keys() | {n for group in placement.groups for n in group}
    assert rounded.isdisjoint({"token", "all", "sum"})
    assert {"x", "even", "taken"} <= rounded, "what layers read is"
    assert set(placement.weighted) == {"patches", "mixed", "y"}


def test_a_layer_that_reads_all_of_it_has_it_rounded() -> None:
    model = with_a_class_token(read_whole=True)
    placement = place(model.graph, sum_in_accumulator=False, ranges=calibrated(model))
    assert ("sum",) in placement.groups
    assert set(placement.weighted) == {"patches", "mixed", "y"}
