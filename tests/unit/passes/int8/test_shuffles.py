"""Channels that are shuffled and split between convolutions reach them without a shuffle."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.passes.int8.shuffles import without_shuffles
from perfsuite.passes.int8.unchanged import difference

SIDE = 4


class Net:
    """A graph that grows node by node."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"constant{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, results: int = 1, **attributes: object) -> list[str]:
        number = len(self.nodes)
        names = [f"value{number}_{i}" for i in range(results)]
        path = f"part{number}/{operator}"
        self.nodes.append(helper.make_node(operator, inputs, names, path, **attributes))
        return names

    def conv(self, given: str, inside: int, outside: int, *, depthwise: bool = False) -> str:
        shape = (outside, 1 if depthwise else inside, 1, 1)
        weight = self.constant(self.rng.normal(size=shape).astype(np.float32))
        bias = self.constant(self.rng.normal(size=outside).astype(np.float32))
        (name,) = self.add("Conv", given, weight, bias, group=inside if depthwise else 1)
        return name

    def relu(self, given: str) -> str:
        return self.add("Relu", given)[0]

    def shuffle(self, given: str, channels: int, groups: int = 2) -> str:
        inner = self.constant(np.array([-1, groups, channels // groups, SIDE, SIDE]))
        outer = self.constant(np.array([-1, channels, SIDE, SIDE]))
        (five,) = self.add("Reshape", given, inner)
        (turned,) = self.add("Transpose", five, perm=[0, 2, 1, 3, 4])
        return self.add("Reshape", turned, outer)[0]

    def concat(self, *given: str) -> str:
        return self.add("Concat", *given, axis=1)[0]

    def split(self, given: str, *sizes: int) -> list[str]:
        lengths = self.constant(np.array(sizes))
        return self.add("Split", given, lengths, results=len(sizes), axis=1)

    def model(self, *outputs: str) -> onnx.ModelProto:
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])
        values = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", [given], values, self.weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        made = onnx.shape_inference.infer_shapes(made)
        onnx.checker.check_model(made)
        return made


def samples() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(9)
    return [{"x": rng.normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)}]


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def units(net: Net, channels: int, count: int, *, groups: int = 2) -> str:
    """Return what `count` units of a ShuffleNetV2 give: half of the channels pass by."""
    half = channels // 2
    left = net.relu(net.conv("x", 3, half))
    right = net.relu(net.conv("x", 3, half))
    for _ in range(count):
        shuffled = net.shuffle(net.concat(left, right), channels, groups)
        left, inner = net.split(shuffled, half, half)
        inner = net.relu(net.conv(inner, half, half))
        inner = net.conv(inner, half, half, depthwise=True)
        right = net.relu(net.conv(inner, half, half))
    return net.shuffle(net.concat(left, right), channels, groups)


def answers_alike(before: onnx.ModelProto, after: onnx.ModelProto) -> bool:
    onnx.checker.check_model(after, full_check=True)
    outputs = [value.name for value in before.graph.output]
    return difference(before, after, samples(), outputs) == ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("groups", [2, 3, 4])
def test_units_of_a_shufflenet_need_no_shuffle(seed: int, groups: int) -> None:
    net = Net(seed)
    model = net.model(net.conv(units(net, 24, 3, groups=groups), 24, 5))
    made = without_shuffles(model)
    assert operators(model)["Transpose"] == 4
    assert not {"Transpose", "Reshape"} & operators(made).keys()
    assert answers_alike(model, made)


def test_each_channel_is_copied_twice_at_most() -> None:
    net = Net()
    made = without_shuffles(net.model(net.conv(units(net, 24, 3), 24, 5)))
    by_name = {name: node for node in made.graph.node for name in node.output}
    for node in made.graph.node:
        if node.op_type == "Split":
            assert by_name[node.input[0]].op_type == "Relu"
        for name in node.input:
            if node.op_type == "Concat":
                assert by_name[name].op_type in ("Split", "Relu")


def test_what_reads_channel_by_channel_follows() -> None:
    net = Net()
    whole = units(net, 8, 1)
    (pooled,) = net.add("MaxPool", net.conv(whole, 8, 8, depthwise=True), kernel_shape=[2, 2])
    model = net.model(net.conv(pooled, 8, 5), net.conv(whole, 8, 7))
    made = without_shuffles(model)
    assert "Transpose" not in operators(made)
    assert answers_alike(model, made)


def test_weights_that_two_layers_share_are_ordered_for_each() -> None:
    net = Net()
    shuffled = net.shuffle(net.relu(net.conv("x", 3, 8)), 8)
    first, second = net.split(shuffled, 4, 4)
    weight = net.constant(net.rng.normal(size=(5, 4, 1, 1)).astype(np.float32))
    one, other = (net.add("Conv", part, weight)[0] for part in (second, first))
    (third,) = net.add("Conv", net.relu(net.conv("x", 3, 4)), weight)
    model = net.model(one, other, third)
    made = without_shuffles(model)
    assert "Transpose" not in operators(made)
    assert answers_alike(model, made)


@pytest.mark.parametrize("reader", ["output", "Softmax", "grouped", "Add", "joined"])
def test_a_shuffle_stays_where_the_order_matters(reader: str) -> None:
    net = Net()
    shuffled = net.shuffle(net.relu(net.conv("x", 3, 8)), 8)
    if reader == "output":
        model = net.model(shuffled, net.conv(shuffled, 8, 5))
    elif reader == "grouped":
        weight = net.constant(net.rng.normal(size=(8, 4, 1, 1)).astype(np.float32))
        model = net.model(net.add("Conv", shuffled, weight, group=2)[0])
    elif reader == "Add":
        model = net.model(net.conv(net.add("Add", shuffled, net.conv("x", 3, 8))[0], 8, 5))
    elif reader == "Softmax":
        model = net.model(net.add("Softmax", shuffled, axis=1)[0])
    else:  # of all that is joined, one part is read in its own order
        other = net.relu(net.conv("x", 3, 8))
        joined = net.conv(net.shuffle(net.concat(shuffled, other), 16), 16, 5)
        model = net.model(joined, net.add("Softmax", other, axis=1)[0])
        assert answers_alike(model, without_shuffles(model))
        return
    made = without_shuffles(model)
    assert operators(made)["Transpose"] == 1
    assert answers_alike(model, made)


def test_a_graph_without_shuffles_is_left_as_it_is() -> None:
    net = Net()
    first, second = net.split(net.relu(net.conv("x", 3, 8)), 4, 4)
    model = net.model(net.conv(net.concat(second, first), 8, 5))
    assert without_shuffles(model) is model


def test_a_reshape_to_other_sides_is_no_shuffle() -> None:
    net = Net()
    given = net.relu(net.conv("x", 3, 8))
    (five,) = net.add("Reshape", given, net.constant(np.array([-1, 2, 4, 2, 8])))
    (turned,) = net.add("Transpose", five, perm=[0, 2, 1, 3, 4])
    (back,) = net.add("Reshape", turned, net.constant(np.array([-1, 8, 2, 8])))
    model = net.model(net.conv(back, 8, 5))
    assert without_shuffles(model) is model


@pytest.mark.parametrize("back", [[-1], [-1, 8, SIDE, SIDE]])
def test_a_matrix_that_is_turned_is_no_shuffle(back: list[int]) -> None:
    net = Net()
    given = net.relu(net.conv("x", 3, 8))
    (matrix,) = net.add("Reshape", given, net.constant(np.array([-1, 8 * SIDE * SIDE])))
    (turned,) = net.add("Transpose", matrix, perm=[1, 0])
    model = net.model(*net.add("Reshape", turned, net.constant(np.array(back))))
    assert without_shuffles(model) is model


def test_what_stays_joined_and_split_gets_what_it_got() -> None:
    net = Net()
    first, second = net.conv("x", 3, 2), net.conv("x", 3, 8)
    whole, inner = net.split(net.concat(first, second), 2, 8)
    for groups in (2, 4):
        inner = net.shuffle(inner, 8, groups)
    left, right = net.split(inner, 4, 4)
    model = net.model(whole, net.conv(second, 8, 3), net.conv(left, 4, 3), net.conv(right, 4, 3))
    made = without_shuffles(model)
    assert "Transpose" not in operators(made)
    assert answers_alike(model, made)


def test_channels_whose_places_are_told_stay() -> None:
    net = Net()
    pooled, places = net.add(
        "MaxPool", net.conv("x", 3, 8), results=2, kernel_shape=[2, 2], pads=[0, 0, 1, 1]
    )
    halves = net.split(net.shuffle(pooled, 8), 4, 4)
    model = net.model(places, *(net.conv(half, 4, 3) for half in halves))
    assert answers_alike(model, without_shuffles(model))


def test_weights_that_are_an_output_stay() -> None:
    net = Net()
    halves = net.split(net.shuffle(net.conv("x", 3, 8), 8), 4, 4)
    model = net.model(*(net.conv(half, 4, 3) for half in halves))
    for weight in net.weights:
        if len(weight.dims) == 4:
            value = helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, weight.dims)
            model.graph.output.append(value)
    made = without_shuffles(model)
    assert "Transpose" not in operators(made)
    assert answers_alike(model, made)
