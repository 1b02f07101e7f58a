"""Average pooling whose windows reach past what is padded, kept from 8 bits in ONNX Runtime.

Where `ceil_mode` lets windows reach past padding that counts, its 8-bit pooling (1.32) divides by
another number than its float one. The maximum of its result and itself changes nothing, and keeps
the pooling apart from the rounding, so that it runs in float.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies, every_node, names_made, unused_name
from perfsuite.export.parts import part_of

if TYPE_CHECKING:
    import onnx

_KIND = "AveragePool"


def with_float_means(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which no such pooling meets a rounding."""
    if not any(map(_reaches_past, every_node(model.graph))):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    _keep_apart(copy.graph, names_made(copy.graph))
    return copy


def _reaches_past(node: onnx.NodeProto) -> bool:
    if node.op_type != _KIND or node.domain not in ("", "ai.onnx"):
        return False
    given = {one.name: one for one in node.attribute}
    asked = all(name in given and given[name].i for name in ("ceil_mode", "count_include_pad"))
    return asked and "pads" in given and any(given["pads"].ints)


def _keep_apart(graph: onnx.GraphProto, taken: set[str]) -> None:
    from onnx import helper

    made: list[onnx.NodeProto] = []
    for node in graph.node:
        for body in bodies(node):
            _keep_apart(body, taken)
        made.append(node)
        if _reaches_past(node):
            name, (given,) = unused_name(part_of(node, "mean"), taken), node.output
            made.append(helper.make_node("Max", [name, name], [given], part_of(node, "apart")))
            node.output[0] = name
    kept = [type(node).FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(kept)
