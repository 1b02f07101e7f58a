"""One row taken by its index of what was rounded, of which OpenVINO makes one side too many.

Where a Gather takes one row, as `x[:, 0]` does, OpenVINO moves the scales of what it was taken from
behind it, with the side that is gone: every answer behind has one side more, and where there is one
scale for all channels the process crashes (OpenVINO 2026.4). A Slice takes the same row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.export.bodies import bodies, every_node
from perfsuite.export.constants import constants_of

if TYPE_CHECKING:
    import onnx

SQUEEZE = "/squeeze"  # what is appended to a Gather's name: in breakdowns both are that Gather

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set
_AXES_ARE_INPUTS = 13  # the opset since which Squeeze takes its axes as an input
_END = 2**63 - 1


class _Place(NamedTuple):
    """A node of a graph or body, by its place there, that takes the `row`."""

    graph: onnx.GraphProto
    place: int
    row: np.ndarray


def with_slices(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which Slices take single rows of what is rounded.

    Only indices that are constants of the graph are looked at, and only where the graph rounds, in
    bodies of control flow too.
    """
    if not _rounds(model.graph) or not _places(model.graph, {}):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    opset = max((one.version for one in model.opset_import if one.domain in _ONNX), default=1)
    for graph, place, index in _places(copy.graph, {}):
        _slice(graph, place, index, opset)
    return copy


def _rounds(graph: onnx.GraphProto) -> bool:
    return any(node.op_type == "DequantizeLinear" for node in every_node(graph))


def _places(graph: onnx.GraphProto, outer: dict[str, np.ndarray]) -> list[_Place]:
    """Return the Gathers that take one row, in such an order that each may be replaced in turn.

    `outer` are the indices that are known outside.
    """
    rows = {**outer, **_rows(graph)}
    found: list[_Place] = []
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        found += [inner for body in bodies(node) for inner in _places(body, rows)]
        if _takes_one(node, rows):
            found.append(_Place(graph, place, rows[node.input[1]]))
    return found


def _rows(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return the whole-numbered constants of one element, by name."""
    found = constants_of(graph)
    return {name: one for name, one in found.items() if one.dtype.kind == "i" and _is_one(one)}


def _is_one(array: np.ndarray) -> bool:
    return array.shape in ((), (1,))


def _takes_one(node: onnx.NodeProto, rows: dict[str, np.ndarray]) -> bool:
    return node.op_type == "Gather" and node.domain in _ONNX and node.input[1] in rows


def _slice(graph: onnx.GraphProto, place: int, index: np.ndarray, opset: int) -> None:
    """Take a Gather's row by a Slice, and the side away that a scalar index takes away."""
    from onnx import helper, numpy_helper

    node = graph.node[place]
    axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
    name, row = node.output[0], int(index.reshape(-1)[0])
    limits = {"from": row, "to": _END if row == -1 else row + 1, "axis": axis}
    for what, value in limits.items():
        tensor = numpy_helper.from_array(np.array([value], np.int64), f"{name}/{what}")
        graph.initializer.append(tensor)
    given = [node.input[0], *(f"{name}/{what}" for what in limits)]
    taken = f"{name}/row" if not index.ndim else name
    del graph.node[place]
    graph.node.insert(place, helper.make_node("Slice", given, [taken], node.name))
    if index.ndim:
        return
    if opset < _AXES_ARE_INPUTS:
        squeeze = helper.make_node("Squeeze", [taken], [name], node.name + SQUEEZE, axes=[axis])
    else:
        squeeze = helper.make_node("Squeeze", [taken, given[-1]], [name], node.name + SQUEEZE)
    graph.node.insert(place + 1, squeeze)
