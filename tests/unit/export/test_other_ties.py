"""Where values tie, the copy of a graph may choose another; where they do not, it may not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from onnx import TensorProto, helper, numpy_helper

from perfsuite.export.other_ties import with_other_ties

ort = pytest.importorskip("onnxruntime")

CLEAR = np.random.default_rng(0).permutation(64).astype(np.float32)[None]


def best(kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a graph that gives the places of the eight largest of 64 values."""
    nodes = [
        helper.make_node("Identity", ["x"], ["scores"], "scores"),
        helper.make_node("TopK", ["scores", "most"], ["values", "places"], "best"),
        helper.make_node("Cast", ["places"], ["y"], "y", to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([8]), "most")],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def answer(model: onnx.ModelProto, x: np.ndarray) -> list[float]:
    found: np.ndarray = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    return found[0].tolist()


@pytest.mark.parametrize("value", [0.0, 3.0, -1e4])
def test_others_of_equal_values_are_chosen(value: float) -> None:
    equal = np.full((1, 64), value, np.float32)
    changed = with_other_ties(best())
    assert changed is not None
    assert answer(best(), equal) == list(range(8))
    assert answer(changed, equal) != list(range(8))
    assert answer(changed, CLEAR) == answer(best(), CLEAR)


def test_in_branches_too() -> None:
    changed = with_other_ties(inside_branch(best()))
    assert changed is not None
    assert answer(changed, np.ones((1, 64), np.float32)) != list(range(8))


def test_the_model_itself_stays_as_it_was() -> None:
    model = best()
    with_other_ties(model)
    assert model == best()


def test_without_a_choice_among_floats_there_is_none() -> None:
    plain = best()
    del plain.graph.node[1:], plain.graph.output[:]
    plain.graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, None))
    assert with_other_ties(plain) is None
    assert with_other_ties(best(TensorProto.INT64)) is None
