"""One row taken by its index of what was rounded, of which OpenVINO makes one side too many.

Where a Gather takes one row, as `x[:, 0]` does, OpenVINO moves the scales of what it was taken from
behind it, with the side that is gone: every answer behind has one side more, and where there is one
scale for all channels the process crashes (OpenVINO 2026.4). A Slice takes the same row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

SQUEEZE = "/squeeze"  # what is appended to a Gather's name: in breakdowns both are that Gather

_AXES_ARE_INPUTS = 13  # the opset since which Squeeze takes its axes as an input
_END = 2**63 - 1


def with_slices(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which Slices take single rows of what is rounded.

    Only indices that are constants of the graph are looked at, and only where the graph rounds.
    """
    if not any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return model
    rows = _rows(model.graph)
    if not any(_takes_one(node, rows) for node in model.graph.node):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for place in reversed(range(len(copy.graph.node))):
        if _takes_one(copy.graph.node[place], rows):
            _slice(copy, place, rows[copy.graph.node[place].input[1]])
    return copy


def _rows(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the whole-numbered constants of one element, by name."""
    from onnx import TensorProto

    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        value = next((one.t for one in node.attribute if one.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            found[node.output[0]] = value
    whole = (TensorProto.INT64, TensorProto.INT32)
    return {
        name: tensor
        for name, tensor in found.items()
        if tensor.data_type in whole and list(tensor.dims) in ([], [1])
    }


def _takes_one(node: onnx.NodeProto, rows: dict[str, onnx.TensorProto]) -> bool:
    return node.op_type == "Gather" and not node.domain and node.input[1] in rows


def _slice(model: onnx.ModelProto, place: int, index: onnx.TensorProto) -> None:
    """Take a Gather's row by a Slice, and the side away that a scalar index takes away."""
    import numpy as np
    from onnx import helper, numpy_helper

    node = model.graph.node[place]
    axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
    name, row = node.output[0], int(numpy_helper.to_array(index).reshape(-1)[0])
    limits = {"from": row, "to": _END if row == -1 else row + 1, "axis": axis}
    for what, value in limits.items():
        tensor = numpy_helper.from_array(np.array([value], np.int64), f"{name}/{what}")
        model.graph.initializer.append(tensor)
    given = [node.input[0], *(f"{name}/{what}" for what in limits)]
    taken = f"{name}/row" if not index.dims else name
    del model.graph.node[place]
    model.graph.node.insert(place, helper.make_node("Slice", given, [taken], node.name))
    if index.dims:
        return
    opset = next((one.version for one in model.opset_import if not one.domain), 1)
    if opset < _AXES_ARE_INPUTS:
        squeeze = helper.make_node("Squeeze", [taken], [name], node.name + SQUEEZE, axes=[axis])
    else:
        squeeze = helper.make_node("Squeeze", [taken, given[-1]], [name], node.name + SQUEEZE)
    model.graph.node.insert(place + 1, squeeze)
