"""Fourier transforms along any axis, of which OpenVINO takes the second side alone.

From operator set 20 on a DFT has its axis as an input, and without one it is the last side of the
signal. OpenVINO (2026.4) reads neither, and transforms along side 1. Of a batch of single signals,
(signals, length, parts), both are the same. One-sided answers get a side too many: they are cut out
of whole ones.
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
_READ = 1  # the side that is taken, and that of operator sets before if nothing is said


def with_single_signals(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, whose transforms are of single signals if misread.

    One stays where it is not known how many sides there are or along which it is, and in bodies of
    control flow.
    """
    opset = max((one.version for one in model.opset_import if one.domain in _ONNX), default=1)
    if not any(one.op_type == "DFT" and one.domain in _ONNX for one in model.graph.node):
        return model
    known = ranks(model)
    misread = {
        node.output[0]: axis
        for node in model.graph.node
        if (axis := _axis(model.graph, node, known, opset)) is not None
        and (_halves(node) or (opset >= _FROM and axis != _READ))
    }
    if not misread:
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    nodes = []
    for node in copy.graph.node:
        axis = next((misread[name] for name in node.output if name in misread), None)
        nodes += [node] if axis is None else _singled(node, axis, known[node.input[0]])
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


def _said(node: onnx.NodeProto) -> dict[str, int]:
    return {one.name: int(one.i) for one in node.attribute}


def _halves(node: onnx.NodeProto) -> bool:
    said = _said(node)
    return bool(said.get("onesided")) and not said.get("inverse")


def _axis(
    graph: onnx.GraphProto, node: onnx.NodeProto, ranks: dict[str, int], opset: int
) -> int | None:
    """Return along which side a node transforms; None if it does not, or nobody knows."""
    from onnx import numpy_helper

    rank = ranks.get(node.input[0], 0) if node.op_type == "DFT" and node.domain in _ONNX else 0
    if not rank:
        return None
    if opset < _FROM:
        return _said(node).get("axis", _READ) % rank
    name = node.input[_AXIS] if len(node.input) > _AXIS else ""
    if not name:
        return rank - 2
    held = [one for one in graph.initializer if one.name == name]
    held += [one.attribute[0].t for one in graph.node if name in one.output
             and one.op_type == "Constant" and one.attribute[0].name == "value"]  # fmt: skip
    return int(numpy_helper.to_array(held[0]).item()) % rank if held else None


def _singled(node: onnx.NodeProto, axis: int, rank: int) -> list[onnx.NodeProto]:
    """Return the nodes that give what a transform along `axis` does; the last has its name."""
    from onnx import helper, numpy_helper

    made: list[onnx.NodeProto] = []

    def add(operator: str, *read: str, **attributes: object) -> str:
        part = part_of(node, str(len(made)))
        made.append(helper.make_node(operator, read, [part], part, **attributes))
        return part

    def numbers(*given: int) -> str:
        return add("Constant", value=numpy_helper.from_array(np.array(given, np.int64)))

    order = [side for side in range(rank - 1) if side != axis] + [axis, rank - 1]
    turned = add("Transpose", node.input[0], perm=order)
    sides = add("Concat", numbers(-1), add("Shape", turned, start=rank - 2), axis=0)
    length = node.input[_LENGTH : _LENGTH + 1]
    answers = add(
        "DFT",
        add("Reshape", turned, sides),
        *(length if any(length) else ()),
        inverse=_said(node).get("inverse", 0),
        onesided=0 if _halves(node) else _said(node).get("onesided", 0),
    )
    if _halves(node):
        half = add("Div", add("Shape", answers, start=1, end=2), numbers(2))
        last = add("Add", half, numbers(1))
        answers = add("Slice", answers, numbers(0), last, numbers(1))
    back = add("Concat", add("Shape", turned, end=rank - 2), add("Shape", answers, start=1), axis=0)
    add("Transpose", add("Reshape", answers, back), perm=list(np.argsort(order)))
    made[-1].output[0], made[-1].name = node.output[0], node.name or node.output[0]
    return made
