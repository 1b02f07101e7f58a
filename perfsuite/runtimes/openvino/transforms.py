"""Fourier transforms along any axis, of which OpenVINO takes the second side alone.

From operator set 20 on a DFT has its axis as an input, and without one it is the last side of the
signal. OpenVINO (2026.4) reads neither, and transforms along side 1. Of a batch of single signals,
(signals, length, parts), both are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.parts import part_of
from perfsuite.export.shapes import ranks

if TYPE_CHECKING:
    import onnx

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set
_FROM = 20  # the operator set since which the axis is an input
_LENGTH, _AXIS = 1, 2  # the places of inputs
_READ = 1  # the side that is taken


def with_single_signals(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, whose transforms are along the side that is taken.

    One stays where it is not known how many sides there are or along which it is, and in bodies of
    control flow.
    """
    opset = max((one.version for one in model.opset_import if one.domain in _ONNX), default=1)
    found = any(one.op_type == "DFT" and one.domain in _ONNX for one in model.graph.node)
    if opset < _FROM or not found:
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    known, nodes = ranks(model), []
    for node in copy.graph.node:
        axis, rank = _axis(copy.graph, node, known), known.get(node.input[0] if node.input else "")
        nodes += [node] if axis is None or rank is None else _singled(node, axis, rank)
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


def _axis(graph: onnx.GraphProto, node: onnx.NodeProto, ranks: dict[str, int]) -> int | None:
    """Return along which side a node transforms, None if it is no DFT that is misread."""
    from onnx import numpy_helper

    rank = ranks.get(node.input[0]) if node.op_type == "DFT" and node.domain in _ONNX else None
    if rank is None:
        return None
    axis = rank - 2
    if name := (list(node.input) + [""] * _AXIS)[_AXIS]:
        held = [one for one in graph.initializer if one.name == name]
        held += [one.attribute[0].t for one in graph.node if name in one.output
                 and one.op_type == "Constant" and one.attribute[0].name == "value"]  # fmt: skip
        if not held:
            return None
        axis = int(numpy_helper.to_array(held[0]).item()) % rank
    return None if axis == _READ else axis


def _singled(node: onnx.NodeProto, axis: int, rank: int) -> list[onnx.NodeProto]:
    """Return the nodes that give what a transform along `axis` does; the last has its name."""
    from onnx import helper, numpy_helper

    made: list[onnx.NodeProto] = []

    def add(operator: str, *read: str, **attributes: object) -> str:
        part = part_of(node, str(len(made)))
        made.append(helper.make_node(operator, read, [part], part, **attributes))
        return part

    order = [side for side in range(rank - 1) if side != axis] + [axis, rank - 1]
    turned = add("Transpose", node.input[0], perm=order)
    one = add("Constant", value=numpy_helper.from_array(np.array([-1], np.int64)))
    sides = add("Concat", one, add("Shape", turned, start=rank - 2), axis=0)
    signals, name = add("Reshape", turned, sides), node.name or node.output[0]
    length = node.input[_LENGTH : _LENGTH + 1]
    given = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    answers = add("DFT", signals, *(length if any(length) else ()), **given)
    back = add("Concat", add("Shape", turned, end=rank - 2), add("Shape", answers, start=1), axis=0)
    add("Transpose", add("Reshape", answers, back), perm=list(np.argsort(order)))
    made[-1].output[0], made[-1].name = node.output[0], name
    return made
