"""Nodes of toy graphs: paths, MACs, parameters and bytes by hand."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from perfsuite.domain.profile import Node
from perfsuite.domain.task import Inputs
from perfsuite.export import nodes as exported
from perfsuite.export.nodes import module_nodes


def graph(nodes: list[Any], inputs: dict[str, list[Any]], weights: dict[str, Any]) -> ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(array), n) for n, array in weights.items()]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    made = helper.make_graph(nodes, "toy", values, [result], tensors)
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


def weight(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def op(kind: str, inputs: str, output: str, name: str = "", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], name=name, **attributes)


def ones(model: ModelProto, **sizes: int) -> Inputs:
    """Return inputs of a graph: ones, with open axes of the given sizes."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: np.ones(
            [side.dim_value or sizes[side.dim_param] for side in value.type.tensor_type.shape.dim],
            np.float32,
        )
        for value in model.graph.input
        if value.name not in constants
    }


def graph_nodes(model: ModelProto, batch: int) -> tuple[Node, ...]:
    return exported.graph_nodes(model, ones(model, batch=batch, words=7))


def by_name(model: ModelProto, batch: int = 1) -> dict[str, Node]:
    return {node.name: node for node in graph_nodes(model, batch)}


def test_a_convolution_of_a_batch() -> None:
    net = graph(
        [op("Conv", "x w b", "c", "stem.conv/Conv", pads=[1] * 4), op("Relu", "c", "y", "stem/R")],
        {"x": ["batch", 3, 4, 4]},
        {"w": weight(8, 3, 3, 3), "b": weight(8)},
    )
    conv, relu = graph_nodes(net, 2)
    image, result = 2 * 3 * 16 * 4, 2 * 8 * 16 * 4
    assert conv == Node(
        "stem.conv/Conv",
        "Conv",
        "stem.conv",
        ("x", "w", "b"),
        ("c",),
        macs=2 * 16 * 8 * 27,
        parameters=8 * 27 + 8,
        bytes=image + 8 * 27 * 4 + 32 + result,
        sizes=(image, 8 * 27 * 4, 32, result),
    )
    assert (relu.path, relu.macs, relu.parameters) == ("stem", 0, 0)
    assert relu.bytes == 2 * result


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("layer1.0.conv1/Conv", "layer1.0.conv1"),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/features/features.3/Conv_1", "features.3"),
        ("Conv_12", ""),
        ("", ""),
    ],
)
def test_a_path_comes_from_the_name(name: str, path: str) -> None:
    net = graph([op("Relu", "x", "y", name)], {"x": [1, 3]}, {})
    (node,) = graph_nodes(net, 1)
    assert node.path == path
    assert node.name == (name or "y")  # engines name what has none after its value


def test_a_path_comes_from_the_weight_where_the_name_has_none() -> None:
    net = graph(
        [op("Conv", "x layer1.conv.weight", "c", "Conv_0"), op("Relu", "c", "y", "Relu_1")],
        {"x": [1, 3, 4, 4]},
        {"layer1.conv.weight": weight(8, 3, 1, 1)},
    )
    assert [node.path for node in graph_nodes(net, 1)] == ["layer1.conv", ""]


def quantized(*, named: bool) -> ModelProto:
    def name(text: str) -> str:
        return text if named else ""

    nodes = [
        op("QuantizeLinear", "x s z", "qx", name("q0")),
        op("DequantizeLinear", "qx s z", "dx", name("d0")),
        op("DequantizeLinear", "w s zw", "dw", name("dw")),
        op("Conv", "dx dw", "c", "first.conv/Conv"),
        op("QuantizeLinear", "c s z", "qc", name("q1")),
        op("DequantizeLinear", "qc s z", "dc", name("d1")),
        op("Relu", "dc", "y", "second/Relu"),
    ]
    weights = {"s": np.float32(1), "z": np.uint8(0), "zw": np.int8(0)}
    return graph(nodes, {"x": [1, 3, 2, 2]}, {**weights, "w": weight(8, 3, 1, 1, dtype=np.int8)})


@pytest.mark.parametrize("named", [True, False])
def test_rounding_belongs_to_what_it_rounds(named: bool) -> None:
    nodes = graph_nodes(quantized(named=named), 1)
    assert [node.path for node in nodes] == ["first.conv"] * 6 + ["second"]


def test_parameters_of_a_dequantized_weight_count_where_it_is_multiplied() -> None:
    nodes = graph_nodes(quantized(named=True), 1)
    assert {node.name: node.parameters for node in nodes if node.parameters} == {
        "first.conv/Conv": 24
    }
    assert nodes[2].bytes == 24 + 4 + 1 + 24 * 4  # int8 in, scale, zero point, float out


def test_pairs_of_the_int8_pass_belong_to_their_modules() -> None:
    from perfsuite.passes.int8.placement import place
    from perfsuite.passes.int8.qdq import Scheme, insert

    net = graph(
        [
            op("Conv", "x w", "c", "stem.conv/Conv"),
            op("Relu", "c", "r", "stem.relu/Relu"),
            op("Conv", "r w2", "y", "head/Conv"),
        ],
        {"x": [1, 3, 4, 4]},
        {"w": weight(8, 3, 1, 1), "w2": weight(4, 8, 1, 1)},
    )
    placement = place(net.graph, sum_in_accumulator=False)
    ranges = {name: (0.0, 1.0) for group in placement.groups for name in group}
    insert(net.graph, placement, ranges, Scheme(False, 127, False))
    nodes = graph_nodes(net, 1)
    rounding = [node for node in nodes if "quantize" in node.kind.lower()]
    assert len(rounding) >= 6
    assert {node.path for node in rounding} <= {"stem.conv", "stem.relu", "head"}
    assert {n.path: n.parameters for n in nodes if n.parameters} == {"stem.conv": 24, "head": 32}


def test_a_shared_weight_counts_once_where_it_is_used_first() -> None:
    net = graph(
        [op("MatMul", "x w", "h", "a/MatMul"), op("MatMul", "h w", "y", "b/MatMul")],
        {"x": ["batch", 4]},
        {"w": weight(4, 4)},
    )
    assert [node.parameters for node in graph_nodes(net, 3)] == [16, 0]
    assert [node.macs for node in graph_nodes(net, 3)] == [48, 48]


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers(kind: str, gates: int, directions: int) -> None:
    steps, hidden, features = 7, 5, 3
    weights = {
        "w": weight(directions, gates * hidden, features),
        "r": weight(directions, gates * hidden, hidden),
    }
    direction = "bidirectional" if directions == 2 else "forward"
    node = op(kind, "x w r", "y", "l/L", hidden_size=hidden, direction=direction)
    found = by_name(graph([node], {"x": [steps, "batch", features]}, weights), batch=2)["l/L"]
    # The batch is the second axis here: its name tells.
    assert found.macs == steps * 2 * directions * gates * hidden * (features + hidden)


def test_pooling_of_regions_multiplies_nothing() -> None:
    node = op("RoiAlign", "x rois index", "y", "roi/RoiAlign", output_height=2, output_width=2)
    net = graph([node], {"x": [1, 3, 8, 8], "rois": [6, 4]}, {"index": np.zeros(6, np.int64)})
    (found,) = graph_nodes(net, 1)
    assert found.macs == 0
    assert found.bytes == 4 * (3 * 64 + 6 * 4) + 8 * 6 + 4 * (6 * 3 * 4)


def test_views_move_nothing_and_a_lookup_what_it_finds() -> None:
    nodes = [
        op("Reshape", "x to", "r", "a/Reshape"),
        op("Gather", "r at", "g", "b/Gather"),
        op("Relu", "g", "y", "c/Relu"),
    ]
    weights = {"to": np.array([100, 6]), "at": np.array([1, 2])}
    found = by_name(graph(nodes, {"x": [1, 100, 6]}, weights))
    assert found["a/Reshape"].bytes == 0
    assert found["b/Gather"].bytes == 2 * 6 * 4 + 2 * 8 + 2 * 6 * 4


def test_constants_are_no_nodes_but_weights() -> None:
    constant = helper.make_node(
        "Constant", [], ["w"], value=numpy_helper.from_array(weight(3, 4), "w")
    )
    net = graph([constant, op("MatMul", "x w", "y", "fc/MatMul")], {"x": ["batch", 3]}, {})
    (node,) = graph_nodes(net, 5)
    assert (node.macs, node.parameters, node.bytes) == (60, 12, 4 * (15 + 12 + 20))


def test_a_function_is_the_module_of_its_call() -> None:
    body = helper.make_function(
        "com.example",
        "Twice",
        ["a", "b"],
        ["c"],
        [op("MatMul", "a b", "t", "mm"), op("MatMul", "t b", "c")],
        [helper.make_opsetid("", 17)],
    )
    calls = [
        op("Twice", "x w", "h", "layer1.fc/Twice", domain="com.example"),
        op("Twice", "h w", "m", "layer2.fc/Twice", domain="com.example"),
        op("Relu", "m", "y", "Relu"),
    ]
    net = graph(calls, {"x": ["batch", 3]}, {"w": weight(3, 3)})
    net.functions.append(body)
    nodes = graph_nodes(net, 2)
    assert [node.path for node in nodes] == ["layer1.fc"] * 2 + ["layer2.fc"] * 2 + [""]
    assert [node.macs for node in nodes] == [18] * 4 + [0]


def test_what_cannot_be_counted_is_none() -> None:
    nodes = [
        op("Mystery", "x", "m", "a/Mystery", domain="com.example"),
        op("MatMul", "m w", "y", "b/MatMul"),
    ]
    mystery, product = graph_nodes(graph(nodes, {"x": [3, 3]}, {"w": weight(3, 3)}), 1)
    assert (mystery.kind, mystery.macs, mystery.bytes) == ("com.example::Mystery", None, None)
    assert (product.macs, product.bytes, product.parameters) == (None, None, 9)


def test_every_axis_has_the_size_that_it_is_given() -> None:
    net = graph(
        [op("MatMul", "x w", "y", "fc/M")], {"x": ["batch", "words", 3]}, {"w": [[1.0]] * 3}
    )
    (node,) = graph_nodes(net, 2)
    assert (node.macs, node.bytes) == (2 * 7 * 3, 4 * (2 * 7 * 3 + 2 * 7) + 8 * 3)


def test_shapes_that_the_graph_computes_are_followed() -> None:
    nodes = [
        op("Shape", "x", "s"),
        op("Slice", "s zero one", "n"),
        op("Mul", "n six", "m"),
        op("Concat", "m minus", "to", axis=0),
        op("Reshape", "x to", "r"),
        op("MatMul", "r w", "y", "fc/MatMul"),
    ]
    numbers = {"zero": [0], "one": [1], "six": [6], "minus": [-1]}
    weights = {name: np.array(value) for name, value in numbers.items()}
    net = graph(nodes, {"x": ["batch", 6, 4]}, {**weights, "w": weight(4, 5)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert by_name(net, batch=2)["fc/MatMul"].macs == 12 * 4 * 5


def test_the_model_given_stays_as_it_is() -> None:
    net = graph([op("MatMul", "x w", "y", "fc/M")], {"x": ["batch", 3]}, {"w": weight(3, 2)})
    before = net.SerializeToString()
    graph_nodes(net, 4)
    assert net.SerializeToString() == before


def test_parameters_of_a_module() -> None:
    from torch import nn

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Linear(8, 8))
    net.append(nn.Linear(8, 8, bias=False))
    net[4].weight = net[3].weight
    found = [(node.path, node.kind, node.parameters) for node in module_nodes(net)]
    assert found == [("0", "Conv2d", 20), ("1", "BatchNorm2d", 4), ("3", "Linear", 72)]
