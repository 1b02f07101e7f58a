"""Constants without elements, of which OpenVINO makes one undefined element or a scalar.

A detector that finds nothing would give one box of whatever lies in memory, as torchvision's
suppression of overlapping boxes has a branch for that; masks that a loop appends to none, and an
assignment to an empty slice, are not read at all (OpenVINO 2026.4). What is computed may be empty:
such constants are written as computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.export.bodies import bodies, every_node

if TYPE_CHECKING:
    import onnx

# With one side they are axes, shapes or scales elsewhere, which the engine reads rightly.
_VALUES = ("Loop", "Scan", "ScatterND", "ScatterElements", "Scatter")
_GATHER, _INDICES = "Gather", 1  # of which the process would die, where the answer is empty


class _Read(NamedTuple):
    """The names of what is read as values, whatever its sides, and of what stays as it is."""

    values: set[str]
    kept: set[str]


def with_computed_empties(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, without empty constants that would be misread."""
    if not any(_empties(*one) for one in _graphs(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for graph, read in list(_graphs(copy.graph)):
        for tensor in _empties(graph, read):
            _compute(graph, tensor)
    return copy


def _graphs(graph: onnx.GraphProto) -> Iterator[tuple[onnx.GraphProto, _Read]]:
    """Yield the graph and all bodies, of which what they give is read, too."""
    nodes = list(every_node(graph))
    values = {name for node in nodes if node.op_type in _VALUES for name in node.input}
    kept = {node.input[_INDICES] for node in nodes if node.op_type == _GATHER}
    yield graph, _Read(values, kept)
    for body in (each for node in nodes for each in bodies(node)):
        yield body, _Read(values | {value.name for value in body.output}, kept)


def _empties(graph: onnx.GraphProto, read: _Read) -> list[onnx.TensorProto]:
    """Return the graph's constants without elements that would be misread, with their names."""
    given = {value.name for value in graph.input}  # a default, which the caller may replace
    found = {one.name: one for one in graph.initializer if one.name not in given}
    found |= {node.output[0]: one for node in graph.node if (one := _constant(node)) is not None}
    copied = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    values = set(read.values)
    for name in read.values:
        while name in copied:
            name = copied[name]
            values.add(name)
    return [
        _named(tensor, name)
        for name, tensor in found.items()
        if 0 in tensor.dims
        and tensor.data_type != tensor.STRING
        and name not in read.kept
        and (len(tensor.dims) > 1 or name in values)
    ]


def _named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    named = type(tensor)()
    named.CopyFrom(tensor)
    named.name = name
    return named


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
