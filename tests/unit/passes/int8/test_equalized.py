"""Channels of very different ranges are scaled before a depthwise convolution, and answers stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from fuzzed_checks import answers, plain, samples
from fuzzed_checks import context as fuzzed_context
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.channel_ranges import Channels, channels_of
from perfsuite.passes.int8.equalized import Equalized, equalized
from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.int8.qdq import Scheme
from perfsuite.passes.int8.unchanged import difference

RNG = np.random.default_rng(3)
SIDE = 8
X = RNG.normal(size=(16, 3, SIDE, SIDE)).astype(np.float32)
EACH = Scheme(signed=False, weight_limit=127, sum_in_accumulator=False)
SUMS = Scheme(signed=False, weight_limit=127, sum_in_accumulator=True)
SMALL = np.array([1.0, 0.002, 1.0, 0.001])  # of the channels that the first layer makes


def net(
    *between: onnx.NodeProto, small: np.ndarray = SMALL, opset: int = 18, outputs: str = "y"
) -> onnx.ModelProto:
    """Return a convolution, what lies between 'c' and 'a', a depthwise one and a last one.

    The depthwise one makes up for the `small` channels by large weights.
    """
    first = RNG.normal(size=(4, 3, 3, 3)) * small.reshape(-1, 1, 1, 1)
    depthwise = RNG.normal(size=(4, 1, 3, 3)) / small.reshape(-1, 1, 1, 1)
    constants = {
        "w1": first, "b1": RNG.normal(size=4) * small, "w2": depthwise, "b2": RNG.normal(size=4),
        "w3": RNG.normal(size=(5, 4, 1, 1)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], "one/Conv", pads=[1] * 4),
        *between,
        helper.make_node("Conv", ["a", "w2", "b2"], ["d"], "two/Conv", pads=[1] * 4, group=4),
        helper.make_node("Conv", ["d", "w3"], ["y"], "three/Conv"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4)
            for name in outputs.split()
        ],
        [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in constants.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], f"act/{operator}", **attributes)


RELU = node("Relu", "c", "a")
HARD_SWISH = node("HardSwish", "c", "a")
SWISH = [node("Sigmoid", "c", "s"), node("Mul", "c s", "a")]


def scaled(model: onnx.ModelProto, scheme: Scheme, stays: tuple[str, ...] = ()) -> Equalized:
    made = equalized(model, scheme, stays, iter([{"x": X[:8]}, {"x": X[8:]}]))
    onnx.checker.check_model(made.model)
    outputs = [one.name for one in model.graph.output]
    assert difference(model, made.model, [{"x": X}], outputs) == ""
    return made


def added(model: onnx.ModelProto) -> list[str]:
    """Return what is multiplied by nodes that were not there before."""
    return [one.input[0] for one in model.graph.node if one.input[-1].endswith("_factors")]


@pytest.mark.parametrize("scheme", [EACH, SUMS])
def test_behind_a_relu_the_layer_before_takes_the_scales(scheme: Scheme) -> None:
    given = net(RELU)
    made = scaled(given, scheme)
    assert made.model is not given and made.limits == {}
    assert [one.name for one in made.model.graph.node] == [one.name for one in given.graph.node]


@pytest.mark.parametrize("between", [[HARD_SWISH], SWISH])
def test_another_activation_is_divided_behind_it_and_multiplied_before_it(between: Any) -> None:
    assert added(scaled(net(*between), SUMS).model) == ["a"]
    # An engine that rounds every value rounds the result of the first layer, too.
    made = scaled(net(*between), EACH)
    assert added(made.model) == ["c", "a"]
    assert list(made.limits) == ["c"]


def test_a_clip_is_scaled_only_where_it_is_not_fused_into_its_rounding() -> None:
    constants = [
        numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("l", 0), ("h", 6))
    ]
    given = net(node("Clip", "c l h", "a"))
    given.graph.initializer.extend(constants)
    assert added(scaled(given, SUMS).model) == ["a"]
    assert scaled(given, EACH).model is given


@pytest.mark.parametrize(
    "given",
    [
        net(HARD_SWISH, small=np.ones(4)),  # nothing is small
        net(HARD_SWISH, outputs="y a"),  # it is asked for
        net(HARD_SWISH, node("Identity", "a", "z"), outputs="y z"),  # another node reads it
    ],
)
def test_what_does_not_pay_or_is_read_by_others_stays(given: onnx.ModelProto) -> None:
    assert scaled(given, EACH).model is given


def test_layers_that_stay_float_are_left_as_they_are() -> None:
    given = net(HARD_SWISH)
    assert scaled(given, EACH, stays=("d",)).model is given
    assert added(scaled(given, EACH, stays=("c",)).model) == ["a"]


def test_the_result_of_the_first_layer_may_be_read_by_others_but_is_not_scaled_then() -> None:
    given = net(HARD_SWISH, node("Identity", "c", "z"), outputs="y z")
    assert added(scaled(given, EACH).model) == ["a"]


def test_without_a_depthwise_convolution_no_sample_is_read() -> None:
    def never() -> Any:
        raise AssertionError("it was read")
        yield

    given = net(HARD_SWISH)
    del given.graph.node[2:]
    assert equalized(given, EACH, (), never()).model is given


@pytest.mark.parametrize("opset", [15, 18])
def test_channels_by_hand(opset: int) -> None:
    found = channels_of(net(HARD_SWISH, opset=opset), ["x"], 4, iter([{"x": X[:4]}, {"x": X[4:8]}]))
    channels = X[:8].transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
    np.testing.assert_allclose(found["x"].low, channels.min(axis=1))
    np.testing.assert_allclose(found["x"].high, channels.max(axis=1))
    np.testing.assert_allclose(found["x"].variance, channels.var(axis=1), rtol=1e-4)
    cut = Channels(np.array([-9.0, -1.0]), np.array([9.0, -0.5]), np.ones(2)).within(-3.0, 5.0)
    assert (cut.low.tolist(), cut.high.tolist()) == ([-3.0, -1.0], [5.0, -0.5])


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("between", [[RELU], [HARD_SWISH]])
def test_small_channels_are_not_drowned(runtime: str, between: Any) -> None:
    """With one scale for all channels most of what the small ones make is rounding error."""
    model = net(*between)
    context = fuzzed_context(runtime, model)
    rounded = Int8(calibration_samples=16).apply(model, context)
    wanted = plain(model, samples(model, 4, 2))
    assert wanted is not None
    (ours,) = answers(runtime, rounded, True)
    assert np.linalg.norm(ours - wanted[0]) < 0.05 * np.linalg.norm(wanted[0])
