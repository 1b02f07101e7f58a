"""Softmaxes over several sides, which OpenVINO takes over the first of them alone.

In the operator sets 11 and 12 a Softmax is over all sides from its axis on, and the axis is 1 if
nothing is said, so that over the channels of a picture it is over places, too. OpenVINO (2026.4)
reads it as that of 13, over one side; those of other sets, LogSoftmax and Hardmax it reads rightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies, every_node
from perfsuite.export.parts import part_of
from perfsuite.export.shapes import ranks

if TYPE_CHECKING:
    import onnx

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set
_FROM, _TO = 11, 12  # the operator sets of which they are misread
_AXIS = 1  # of a Softmax that tells none


def with_one_side(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which each Softmax is over one side, in bodies too.

    What is over several is flattened before, and gets its sides back.
    """
    opset = max((one.version for one in model.opset_import if one.domain in _ONNX), default=1)
    found = [node for node in every_node(model.graph) if node.op_type == "Softmax"]
    if not found or not _FROM <= opset <= _TO:
        return model
    known = ranks(model)
    if not any(_over_several(node, known) for node in found):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    _rewrite(copy.graph, known)
    return copy


def _axis(node: onnx.NodeProto) -> int:
    return next((int(one.i) for one in node.attribute if one.name == "axis"), _AXIS)


def _over_several(node: onnx.NodeProto, ranks: dict[str, int]) -> bool:
    """Tell whether a node is a Softmax over several sides, or may be one."""
    if node.op_type != "Softmax" or node.domain not in _ONNX:
        return False
    rank = ranks.get(node.input[0])
    return _axis(node) not in (-1, *(() if rank is None else (rank - 1,)))


def _rewrite(graph: onnx.GraphProto, ranks: dict[str, int]) -> None:
    nodes = []
    for node in graph.node:
        for body in bodies(node):
            _rewrite(body, ranks)
        nodes += _flattened(node) if _over_several(node, ranks) else [node]
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _flattened(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the nodes that give what a Softmax over several sides does; the last has its name."""
    from onnx import helper

    value, result = node.input[0], node.output[0]
    sides, flat, shares = (part_of(node, what) for what in ("sides", "flat", "shares"))
    return [
        helper.make_node("Shape", [value], [sides], sides),
        helper.make_node("Flatten", [value], [flat], flat, axis=_axis(node)),
        helper.make_node("Softmax", [flat], [shares], shares, axis=1),
        helper.make_node("Reshape", [shares, sides], [result], node.name or result),
    ]
