"""Average pooling that ONNX Runtime's 8-bit kernel (1.32) does not do, kept from 8 bits.

Where `ceil_mode` lets windows reach past padding that counts, the kernel divides by another number
than the float one, and where `dilations` are told, there is none: the graph cannot be opened. The
maximum of its result and itself changes nothing, and keeps the pooling apart from the rounding, so
that it runs in float.
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
    if not any(map(_has_no_kernel, every_node(model.graph))):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    _keep_apart(copy.graph, names_made(copy.graph))
    return copy


def _has_no_kernel(node: onnx.NodeProto) -> bool:
    if node.op_type != _KIND or node.domain not in ("", "ai.onnx"):
        return False
    given = {one.name: one for one in node.attribute}
    if "dilations" in given:
        return True
    asked = all(name in given and given[name].i for name in ("ceil_mode", "count_include_pad"))
    return asked and "pads" in given and any(given["pads"].ints)


def _keep_apart(graph: onnx.GraphProto, taken: set[str]) -> None:
    from onnx import helper

    made: list[onnx.NodeProto] = []
    for node in graph.node:
        for body in bodies(node):
            _keep_apart(body, taken)
        made.append(node)
        if _has_no_kernel(node):
            name, (given,) = unused_name(part_of(node, "mean"), taken), node.output
            made.append(helper.make_node("Max", [name, name], [given], part_of(node, "apart")))
            node.output[0] = name
    kept = [type(node).FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(kept)
