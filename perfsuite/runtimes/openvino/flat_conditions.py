"""An If whose condition has several sides, each of length 1.

ONNX asks for one element, and OpenVINO (2026.4) for at most one side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import names_made, unused_name
from perfsuite.export.shapes import ranks

if TYPE_CHECKING:
    import onnx


def with_flat_conditions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which the condition of no If has several sides."""
    if not any(node.op_type == "If" for node in model.graph.node):
        return model
    sides = ranks(model)
    if not any(_has_sides(node, sides) for node in model.graph.node):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    _flatten(copy.graph, sides)
    return copy


def _has_sides(node: onnx.NodeProto, sides: dict[str, int]) -> bool:
    return node.op_type == "If" and sides.get(node.input[0], 0) > 1


def _flatten(graph: onnx.GraphProto, sides: dict[str, int]) -> None:
    from onnx import helper, numpy_helper

    taken = names_made(graph)
    one = unused_name("one_side", taken)
    graph.initializer.append(numpy_helper.from_array(np.array([1]), one))
    for node in [node for node in graph.node if _has_sides(node, sides)]:
        flat = unused_name(f"{node.input[0]}/flat", taken)
        place = list(graph.node).index(node)
        graph.node.insert(place, helper.make_node("Reshape", [node.input[0], one], [flat], flat))
        graph.node[place + 1].input[0] = flat
