"""Branches that answer with an empty constant, of which OpenVINO makes one undefined element.

So does torchvision's suppression of overlapping boxes where there are none: the exported graph asks
for that, and a detector that finds nothing would give one box of whatever lies in memory (OpenVINO
2026.4). What is computed may be empty: such constants are written as computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from perfsuite.export.parameters import subgraphs

if TYPE_CHECKING:
    import onnx


def with_computed_empties(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which no body gives a constant without elements."""
    if not any(_empties(body) for body in _bodies(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for body in _bodies(copy.graph):
        for tensor in _empties(body):
            _compute(body, tensor)
    return copy


def _bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for body in subgraphs(node):
            yield body
            yield from _bodies(body)


def _empties(body: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Return the constants without elements that a body gives, as tensors with their names."""
    makers = {name: node for node in body.node for name in node.output}
    weights = {tensor.name: tensor for tensor in body.initializer}
    found: dict[str, onnx.TensorProto] = {}
    for value in body.output:
        name = value.name
        while name in makers and makers[name].op_type == "Identity":
            name = makers[name].input[0]
        tensor = _constant(makers[name]) if name in makers else weights.get(name)
        if tensor is not None and 0 in tensor.dims:
            named = type(tensor)()
            named.CopyFrom(tensor)
            named.name = name
            found[name] = named
    return list(found.values())


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant":
        return None
    return next((one.t for one in node.attribute if one.name == "value"), None)


def _compute(body: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    """Replace a constant of `body` by nodes that make as empty a tensor of its shape and type."""
    import numpy as np
    from onnx import helper, numpy_helper

    name = tensor.name
    for place, weight in enumerate(body.initializer):
        if weight.name == name:
            del body.initializer[place]
            break
    makers = [place for place, node in enumerate(body.node) if name in node.output]
    place = makers[0] if makers else 0
    if makers:
        del body.node[place]
    shape, one = f"{name}/shape", helper.make_tensor("value", tensor.data_type, [1], [0])
    sides = numpy_helper.from_array(np.array(tensor.dims, np.int64))
    body.node.insert(place, helper.make_node("Constant", [], [shape], f"{name}/shape", value=sides))
    made = helper.make_node("ConstantOfShape", [shape], [name], f"{name}/empty", value=one)
    body.node.insert(place + 1, made)
