"""A graph that decides otherwise where values tie: between two equal scores, whose box stays.

ONNX's TopK takes the first of equal values; OpenVINO (2026.4) takes any, and in 8 bits many values
are equal. Two that are next to equal any engine may order by its own rounding errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies, every_node, names_made, unused_name

if TYPE_CHECKING:
    import onnx

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set
# What chooses among values, and the place of these among its inputs.
_CHOOSES = {"TopK": 0, "ArgMax": 0, "ArgMin": 0, "NonMaxSuppression": 1}
_ERROR, _LEAST = 2.0**-22, 1e-30  # of a value, about its rounding error in fp32, and of zeros


def with_other_ties(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return a copy in which a rounding error changes the floats that are chosen among.

    It is None where nothing is chosen, bodies included, and where nobody can tell of what type.
    """
    from onnx import shape_inference

    if not any(node.op_type in _CHOOSES for node in every_node(model.graph)):
        return None
    try:
        copy = shape_inference.infer_shapes(model)
    except (shape_inference.InferenceError, ValueError):  # as of a model of over 2 GB
        return None
    floats = _floats(copy.graph)
    return copy if _change(copy.graph, floats, names_made(copy.graph)) else None


def _floats(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the values in fp32, bodies included."""
    from onnx import TensorProto

    typed = (*graph.input, *graph.value_info, *graph.output)
    found = {one.name for one in typed if one.type.tensor_type.elem_type == TensorProto.FLOAT}
    found |= {one.name for one in graph.initializer if one.data_type == TensorProto.FLOAT}
    return found.union(*(_floats(body) for node in graph.node for body in bodies(node)))


def _change(graph: onnx.GraphProto, floats: set[str], taken: set[str]) -> bool:
    """Change what is chosen among; tell whether anything was."""
    nodes, changed = [], False
    for node in graph.node:
        for body in bodies(node):
            changed |= _change(body, floats, taken)
        place = _CHOOSES.get(node.op_type) if node.domain in _ONNX else None
        if place is not None and node.input[place] in floats:
            nodes += _nudge(node, place, taken)
            changed = True
        nodes.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return changed


def _nudge(node: onnx.NodeProto, place: int, taken: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that change a value by a rounding error; `node` reads their result."""
    from onnx import helper

    value = node.input[place]
    times, more, scaled, moved = (
        unused_name(f"{value}/{what}", taken) for what in ("times", "more", "scaled", "moved")
    )
    node.input[place] = moved
    draw, seed = "RandomUniformLike", float(len(taken))
    return [
        helper.make_node(draw, [value], [times], low=1 - _ERROR, high=1 + _ERROR, seed=seed),
        helper.make_node(draw, [value], [more], low=-_LEAST, high=_LEAST, seed=seed + 0.5),
        helper.make_node("Mul", [value, times], [scaled]),
        helper.make_node("Add", [scaled, more], [moved]),
    ]
