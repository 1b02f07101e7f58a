"""Quantized graphs get whole vectors of channels where nobody sees them, and answer the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.onnxruntime.whole_vectors import with_whole_vectors

Array = np.ndarray


class Net:
    """A quantized graph that is written node by node; each method returns a tensor's name."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.channels = {"x": 3}
        self.shared: str | None = None

    def constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *given: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(given), [name], name, **attributes))
        self.channels[name] = self.channels.get(given[0], 0)
        return name

    def pair(self, name: str) -> str:
        points = self.constant(np.float32(0.05)), self.constant(np.uint8(90))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", name, *points), *points)

    def weights(self, *sides: int) -> str:
        rounded = self.rng.integers(-99, 99, sides).astype(np.int8)
        scales = self.rng.uniform(0.001, 0.003, sides[0]).astype(np.float32)
        zeros = np.zeros(sides[0], np.int8)
        names = map(self.constant, (rounded, scales, zeros))
        return self.node("DequantizeLinear", *names, axis=0)

    def conv(
        self, name: str, channels: int = 0, side: int = 1, stride: int = 1, weights: str = ""
    ) -> str:
        """Return the rounded result of a dense convolution; of a depthwise one for no channels."""
        read = self.channels[name]
        groups, made = (1, channels) if channels else (read, read)
        weights = weights or self.weights(made, read // groups, side, side)
        self.last = weights
        bias = self.constant(self.rng.normal(size=made).astype(np.float32))
        around = [side // 2] * 4
        found = self.node(
            "Conv", name, weights, bias, group=groups, pads=around, strides=[stride] * 2
        )
        self.channels[found] = made
        return self.pair(self.node("Relu", found))

    def model(self, *outputs: str) -> onnx.ModelProto:
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 12, 12])
        made = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in outputs]
        graph = helper.make_graph(self.nodes, "net", [given], made, self.constants)
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=sets)
        model.ir_version = 8
        return onnx.shape_inference.infer_shapes(model)


def answers(model: onnx.ModelProto) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(7).normal(size=(2, 3, 12, 12)).astype(np.float32)
    found: list[Array] = session.run(None, {"x": x})
    return found


def convolutions(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    """Return the sides of the weights of each convolution, in the graph's order."""
    constants = {one.name: tuple(one.dims) for one in model.graph.initializer}
    above = {node.output[0]: node for node in model.graph.node}
    convs = [node for node in model.graph.node if node.op_type == "Conv"]
    return [constants[above[node.input[1]].input[0]] for node in convs]


def check_same(model: onnx.ModelProto, made: onnx.ModelProto) -> None:
    onnx.checker.check_model(made, full_check=True)
    named = {node.name for node in made.graph.node} - {""}
    assert named <= {node.name for node in model.graph.node}, "kernels are told by these names"
    for one, other in zip(answers(model), answers(made), strict=True):
        np.testing.assert_array_equal(one, other)


def test_channels_of_a_depthwise_convolution_are_filled_up_to_sixteen() -> None:
    net = Net()
    first = net.conv(net.pair("x"), 21)
    model = net.model(net.conv(net.conv(first, side=3, stride=2), 5))
    made = with_whole_vectors(model)
    assert convolutions(model) == [(21, 3, 1, 1), (21, 1, 3, 3), (5, 21, 1, 1)]
    assert convolutions(made) == [(32, 3, 1, 1), (32, 1, 3, 3), (5, 32, 1, 1)]
    groups = [a.i for node in made.graph.node for a in node.attribute if a.name == "group"]
    assert groups == [1, 32, 1]
    assert len(made.graph.initializer) == len(model.graph.initializer)
    assert made.graph.output == model.graph.output
    check_same(model, made)


def test_an_uneven_number_of_channels_becomes_a_multiple_of_four() -> None:
    net = Net()
    model = net.model(net.conv(net.conv(net.conv(net.pair("x"), 10, 3), 12, 3), 8))
    made = with_whole_vectors(model)
    assert convolutions(made) == [(12, 3, 3, 3), (12, 12, 3, 3), (8, 12, 1, 1)]
    check_same(model, made)


def test_what_is_added_and_multiplied_is_filled_up_together() -> None:
    net = Net()
    one = net.conv(net.pair("x"), 20)
    kept = net.conv(one, side=3)
    two = net.conv(net.conv(kept, 9), 20)
    total = net.pair(net.node("Add", kept, two))
    mean = net.pair(net.node("ReduceMean", total, axes=[2, 3], keepdims=1))
    squeezed = net.conv(net.conv(mean, 8), 20)
    gate = net.node("Sigmoid", squeezed)
    model = net.model(net.conv(net.pair(net.node("Mul", total, gate)), 4))
    made = with_whole_vectors(model)
    assert convolutions(made) == [
        (32, 3, 1, 1),
        (32, 1, 3, 3),
        (12, 32, 1, 1),
        (32, 12, 1, 1),
        (8, 32, 1, 1),
        (32, 8, 1, 1),
        (4, 32, 1, 1),
    ]
    check_same(model, made)


def joined(net: Net, name: str) -> str:
    return net.node("Concat", name, name, axis=1)


def flat(net: Net, name: str) -> str:
    return net.node("Flatten", name)


def scaled(net: Net, name: str) -> str:
    return net.node("Mul", name, net.constant(np.ones((1, 21, 1, 1), np.float32)))


def over_channels(net: Net, name: str) -> str:
    return net.node("ReduceMean", name, axes=[1], keepdims=1)


def grouped(net: Net, name: str) -> str:
    weights = net.weights(42, 1, 3, 3)
    return net.node("Conv", name, weights, group=21, pads=[1] * 4)


@pytest.mark.parametrize("see", [joined, flat, scaled, over_channels, grouped])
def test_channels_that_others_see_stay(see: object) -> None:
    net = Net()
    first = net.conv(net.conv(net.pair("x"), 21), side=3)
    model = net.model(see(net, first), net.conv(first, 4))  # type: ignore[operator]
    assert with_whole_vectors(model) is model
    assert answers(model)


def test_an_output_and_what_an_input_gives_stay() -> None:
    net = Net()
    given = net.conv(net.pair("x"), side=3)  # of the three channels that the caller gives
    shown = net.conv(net.conv(given, 21), side=3)
    model = net.model(shown, net.conv(shown, 4))
    assert with_whole_vectors(model) is model


def test_what_the_body_of_a_branch_reads_stays() -> None:
    net = Net()
    first = net.conv(net.conv(net.pair("x"), 21), side=3)
    result = helper.make_tensor_value_info("kept", TensorProto.FLOAT, None)
    body = helper.make_graph([helper.make_node("Identity", [first], ["kept"])], "b", [], [result])
    condition = net.constant(np.array(True))
    branch = net.node("If", condition, then_branch=body, else_branch=body)
    model = net.model(branch, net.conv(first, 4))
    assert with_whole_vectors(model) is model


def test_shared_weights_are_filled_up_for_one_of_their_readers_alone() -> None:
    net = Net()
    given = net.pair("x")
    inside = net.conv(given, 21)
    shared = net.last
    outside = net.conv(given, 21, weights=shared)
    model = net.model(net.conv(net.conv(inside, side=3), 4), outside)
    made = with_whole_vectors(model)
    assert convolutions(made)[:2] == [(32, 3, 1, 1), (21, 3, 1, 1)]
    check_same(model, made)


def test_weights_that_all_readers_share_stay_one() -> None:
    net = Net()
    given = net.pair("x")
    one = net.conv(given, 21)
    two = net.conv(given, 21, weights=net.last)
    last = net.conv(net.conv(one, side=3), 4)
    model = net.model(net.conv(net.conv(two, side=3), 4), last)
    made = with_whole_vectors(model)
    assert len(made.graph.node) == len(model.graph.node)
    assert convolutions(made)[:2] == [(32, 3, 1, 1)] * 2
    check_same(model, made)


def test_what_costs_more_than_it_saves_stays() -> None:
    net = Net()
    wide = net.conv(net.conv(net.pair("x"), 512), 17, 3)
    model = net.model(net.conv(net.conv(wide, side=3), 512, 3))
    assert with_whole_vectors(model) is model


def test_float_weights_and_other_domains_are_no_fault() -> None:
    net = Net()
    first = net.conv(net.pair("x"), 21)
    weights = net.constant(np.ones((21, 1, 3, 3), np.float32))
    kept = net.node("Conv", first, weights, group=21, pads=[1] * 4)
    net.channels[kept] = 21
    model = net.model(net.conv(kept, 5))
    made = with_whole_vectors(model)
    assert convolutions_of_floats(made) == [(32, 1, 3, 3)]
    check_same(model, made)
    odd = net.node("Gelu", first, domain="com.microsoft")
    other = net.model(net.conv(kept, 5), odd)
    assert with_whole_vectors(other) is other


def convolutions_of_floats(model: onnx.ModelProto) -> list[tuple[int, ...]]:
    constants = {one.name: tuple(one.dims) for one in model.graph.initializer}
    return [
        constants[node.input[1]]
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in constants
    ]


@pytest.mark.parametrize("seed", range(12))
def test_drawn_nets_answer_the_same(seed: int) -> None:
    rng, net = np.random.default_rng(seed), Net(seed)
    known = [net.conv(net.pair("x"), int(rng.integers(5, 40)))]
    for _ in range(12):
        one = known[int(rng.integers(len(known)))]
        kind = int(rng.integers(6))
        alike = [other for other in known if net.channels[other] == net.channels[one]]
        if kind == 0:
            known.append(net.conv(one, side=3))
        elif kind == 1:
            pooled = net.node("MaxPool", one, kernel_shape=[3, 3], pads=[1] * 4)
            known.append(net.pair(pooled))
        elif kind == 2:
            known.append(net.pair(net.node("Add", one, alike[int(rng.integers(len(alike)))])))
        elif kind == 3:
            both = net.node("Concat", one, known[-1], axis=1)
            net.channels[both] = net.channels[one] + net.channels[known[-1]]
            known.append(net.pair(both))
        else:
            known.append(net.conv(one, int(rng.integers(5, 40)), int(rng.choice([1, 3]))))
    model = net.model(known[-1], known[-2])
    check_same(model, with_whole_vectors(model))
