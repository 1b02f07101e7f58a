"""Operators that ONNX Runtime runs in no other layout than the graph's are kept in it.

ONNX Runtime (1.32) moves a Transpose past an operator where another one, behind it, undoes it, and
does so with those that it adds itself around 8-bit convolutions. Its cubic Resize has no kernel
for channels behind the pixels, and an operator that names its axes is moved as if it named all of
them, so that no session can be opened, or no call made. What is flattened and given its shape again
is the same, in no other memory, and nothing is moved past that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies, every_node, names_made, unused_name
from perfsuite.export.parts import part_of
from perfsuite.export.whole_axes import names_axes, with_whole_axes

if TYPE_CHECKING:
    import onnx


def with_kept_layouts(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, past whose operators ONNX Runtime may move a Transpose.

    Those that name their axes name none where `with_whole_axes` can write them so, which lets a
    Transpose be moved; no Transpose reaches any other, nor a cubic Resize, in bodies too.
    """
    whole = with_whole_axes(model)
    if not any(map(_stays, every_node(whole.graph))):
        return whole
    copy = type(whole)()
    copy.CopyFrom(whole)
    _keep(copy.graph, names_made(copy.graph))
    return copy


def _stays(node: onnx.NodeProto) -> bool:
    return names_axes(node) or (
        node.op_type == "Resize"
        and any(one.name == "mode" and one.s == b"cubic" for one in node.attribute)
    )


def _keep(graph: onnx.GraphProto, taken: set[str]) -> None:
    made: list[onnx.NodeProto] = []
    for node in graph.node:
        for body in bodies(node):
            _keep(body, taken)
        if _stays(node):
            made += _same_again(node, taken)
        made.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(kept)


def _same_again(node: onnx.NodeProto, taken: set[str]) -> list[onnx.NodeProto]:
    """Have a node read its first input flattened and shaped again; return the nodes for it."""
    from onnx import helper

    shape, flat, same = (
        unused_name(part_of(node, what), taken) for what in ("shape", "flat", "same")
    )
    given, node.input[0] = node.input[0], same
    return [
        helper.make_node("Shape", [given], [shape], shape),
        helper.make_node("Flatten", [given], [flat], flat, axis=0),
        helper.make_node("Reshape", [flat, shape], [same], same),
    ]
