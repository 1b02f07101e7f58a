"""Layers have the names of the ONNX nodes that they were made of; profiles go by these.

OpenVINO (2026.4) gives what it reads other names in three cases: what makes an output of the graph
has that output's, what makes the second result of a node has a made-up one, and what lies before a
node that changes nothing, a Dropout in a call, has that node's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.export.bodies import every_node, names_read
from perfsuite.export.parts import part_of

if TYPE_CHECKING:
    import onnx

_INFERS = 7  # the first operator set in which a Dropout says nothing of training
_TRAINING = 2  # the place of the input that says it, from 12 on


def with_identities(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, whose Dropouts that drop nothing are Identities.

    An Identity leaves the layer before it its name. A Dropout stays where its mask is read, where
    something may turn it on, and in operator sets before 7.
    """
    opsets = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if max(opsets, default=0) < _INFERS:
        return model
    if not any(node.op_type == "Dropout" for node in every_node(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    read = names_read(copy.graph) | {value.name for value in copy.graph.output}
    for node in every_node(copy.graph):
        if _drops_nothing(node, read):
            node.op_type = "Identity"
            del node.input[1:], node.output[1:], node.attribute[:]
    return copy


def _drops_nothing(node: onnx.NodeProto, read: set[str]) -> bool:
    if node.op_type != "Dropout" or node.domain not in ("", "ai.onnx"):
        return False
    return not any(node.input[_TRAINING:]) and read.isdisjoint(node.output[1:])


def name_after_nodes(model: Any, graph: onnx.ModelProto) -> None:
    """Name the layers of an OpenVINO model, which was read from `graph`, after its nodes.

    An Identity is no layer: what it gives is made by the node before it. Of a node with several
    layers that make results, the others are its parts.
    """
    makers = {value: node for node in graph.graph.node for value in node.output}
    names = {node.name for node in graph.graph.node}
    for result in model.get_results():
        layer = result.input_value(0).get_node()
        if maker := _maker(str(layer.get_friendly_name()), makers):
            layer.set_friendly_name(maker.name)
    layers = model.get_ordered_ops()
    taken = {str(layer.get_friendly_name()) for layer in layers}
    for layer in layers:
        own, values = str(layer.get_friendly_name()), (one.get_names() for one in layer.outputs())
        if own in names or layer.get_type_name() in ("Constant", "Parameter", "Result"):
            continue
        found = (_maker(value, makers) for several in values for value in sorted(several))
        if maker := next(filter(None, found), None):
            layer.set_friendly_name(part_of(maker, own) if maker.name in taken else maker.name)
            taken.add(maker.name)


def _maker(value: str, makers: dict[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """Return the named node that makes a value, past Identities; None if none does."""
    node = makers.get(value)
    while node is not None and node.op_type == "Identity" and node.input[0] in makers:
        node = makers[node.input[0]]
    return node if node is not None and node.name else None
