"""A graph is asked about many samples, in calls of a size that it takes; each has its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from outlier_net import CLASSES, outlier_net, pictures

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.passes.int8 import answers
from perfsuite.passes.int8.answers import Answers
from perfsuite.passes.int8.calibration import run_graph


@pytest.mark.parametrize("batch", ["batch", 8])
@pytest.mark.parametrize("count", [1, 8, 13])
def test_answers_are_those_of_each_sample(batch: str | int, count: int) -> None:
    net = outlier_net(batch)
    x = pictures(count, seed=3)
    whole = Answers(outlier_net(), most=1)({"x": x})[0]
    found = Answers(net, most=5)({"x": x})[0]
    assert found.shape == (count, CLASSES)
    assert np.allclose(found, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("batch", "sizes"), [("batch", [5, 5, 3]), (8, [8, 8])])
def test_calls_are_of_the_size_that_the_graph_takes(
    batch: str | int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def run(session: Any, inputs: Inputs) -> list[Any]:
        seen.append(len(inputs["x"]))
        return run_graph(session, inputs)

    monkeypatch.setattr(answers, "run_graph", run)
    Answers(outlier_net(batch), most=5)({"x": pictures(13)})
    assert seen == sizes


def two_inputs(batch: str | int, turned: bool = False, axis: int = 0) -> onnx.ModelProto:
    """Return x * factor + shift, of which x alone counts samples, along an axis."""
    sides: list[str | int] = [3, 3]
    sides[axis] = batch
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["m"], "mul"),
        helper.make_node("Add", ["m", "shift"], ["s"], "add"),
        helper.make_node("Transpose" if turned else "Identity", ["s"], ["y"], "last"),
    ]
    shift = [3] if axis == 0 else [3, 1]
    given = {"factor": [], "x": sides, "shift": shift}
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info(name, 1, one) for name, one in given.items()],
        [helper.make_tensor_value_info("y", 1, [None, None])],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("batch", "axis"), [("batch", 0), ("batch", 1), (4, 0)])
def test_what_counts_no_samples_is_given_whole(batch: str | int, axis: int, turned: bool) -> None:
    x = np.arange(21, dtype=np.float32).reshape((7, 3) if axis == 0 else (3, 7))
    shift = np.array([1, 2, 3], np.float32)
    given = {
        "factor": np.array(2, np.float32),
        "x": x,
        "shift": shift if axis == 0 else shift[:, None],
    }
    expected = x * 2 + given["shift"]
    if turned and axis == 0:  # its answers count samples along an axis that nothing tells
        with pytest.raises(Unsupported, match="which of it is of which sample cannot be told"):
            Answers(two_inputs(batch, turned, axis), most=2)(given)
        return
    found = Answers(two_inputs(batch, turned, axis), most=2)(given)[0]
    assert np.array_equal(found, expected.T if turned else expected)


def test_an_input_that_the_graph_has_not_is_a_build_error() -> None:
    with pytest.raises(BuildError, match="cannot be run"):
        Answers(outlier_net())({"x": pictures(2), "z": pictures(2)})


def test_a_sum_over_a_call_that_was_filled_up_is_refused() -> None:
    net = outlier_net(8)
    net.graph.node.append(helper.make_node("ReduceSum", ["y"], ["total"], "sum", keepdims=0))
    net.graph.output.append(helper.make_tensor_value_info("total", 1, []))
    with pytest.raises(Unsupported, match=r"output 1 has the shape \(\) for a call of 8 samples"):
        Answers(net)({"x": pictures(3)})


def test_answers_of_which_no_sample_can_be_told_are_refused() -> None:
    net = outlier_net()
    net.graph.node.append(helper.make_node("ReduceSum", ["y"], ["total"], "sum", keepdims=0))
    net.graph.output.append(helper.make_tensor_value_info("total", 1, []))
    with pytest.raises(Unsupported, match=r"output 1 has the shape \(\) for a call of 5 samples"):
        Answers(net, most=5)({"x": pictures(13)})
    assert Answers(net, most=5)({"x": pictures(5)})[1].shape == ()


def test_a_call_that_fails_is_a_build_error() -> None:
    with pytest.raises(BuildError, match="cannot be run"):
        Answers(outlier_net())({"x": pictures(2)[:, :1]})
