"""Constants without elements, of which OpenVINO makes one undefined element or a scalar.

So does torchvision's suppression of overlapping boxes where there are none: the exported graph asks
for that, and a detector that finds nothing would give one box of whatever lies in memory. A Scatter
of no updates, as an assignment to an empty slice is exported, is not read at all (OpenVINO 2026.4).
What is computed may be empty: such constants are written as computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies, every_node

if TYPE_CHECKING:
    import onnx

_SCATTERS = ("ScatterND", "ScatterElements", "Scatter")


def with_computed_empties(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, without empty constants where they are misread.

    That is where a body gives them, and where a Scatter reads them.
    """
    if not any(_empties(*one) for one in _graphs(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for graph, names in list(_graphs(copy.graph)):
        for tensor in _empties(graph, names):
            _compute(graph, tensor)
    return copy


def _graphs(graph: onnx.GraphProto) -> Iterator[tuple[onnx.GraphProto, set[str]]]:
    """Yield the graph and all bodies, each with the names of what must not be an empty constant."""
    scattered = {
        name for node in every_node(graph) if node.op_type in _SCATTERS for name in node.input
    }
    yield graph, scattered
    for node in every_node(graph):
        for body in bodies(node):
            yield body, scattered | {value.name for value in body.output}


def _empties(graph: onnx.GraphProto, names: set[str]) -> list[onnx.TensorProto]:
    """Return the graph's constants without elements of these names, or behind an Identity."""
    makers = {name: node for node in graph.node for name in node.output}
    given = {value.name for value in graph.input}  # a default, which the caller may replace
    weights = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, onnx.TensorProto] = {}
    for name in sorted(names):
        while name in makers and makers[name].op_type == "Identity":
            name = makers[name].input[0]
        tensor = _constant(makers[name]) if name in makers else weights.get(name)
        if tensor is not None and 0 in tensor.dims and name not in given:
            named = type(tensor)()
            named.CopyFrom(tensor)
            named.name = name
            found[name] = named
    return list(found.values())


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant":
        return None
    return next((one.t for one in node.attribute if one.name == "value"), None)


def _compute(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    """Replace a constant of `graph` by nodes that make as empty a tensor of its shape and type."""
    import numpy as np
    from onnx import helper, numpy_helper

    name = tensor.name
    for place, weight in enumerate(graph.initializer):
        if weight.name == name:
            del graph.initializer[place]
            break
    makers = [place for place, node in enumerate(graph.node) if name in node.output]
    place = makers[0] if makers else 0
    if makers:
        del graph.node[place]
    shape, one = f"{name}/shape", helper.make_tensor("value", tensor.data_type, [1], [0])
    sides = numpy_helper.from_array(np.array(tensor.dims, np.int64))
    graph.node.insert(
        place, helper.make_node("Constant", [], [shape], f"{name}/shape", value=sides)
    )
    made = helper.make_node("ConstantOfShape", [shape], [name], f"{name}/empty", value=one)
    graph.node.insert(place + 1, made)
