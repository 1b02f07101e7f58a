"""Local functions of a graph are expanded, as not every engine and pass takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfsuite.export.binary_operator import DOMAIN, OPERATOR

if TYPE_CHECKING:
    import onnx

_NUMBER = re.compile(r"__\d+$")  # by which expanded names are told apart


def inlined(model: onnx.ModelProto, *, binary: bool = True) -> onnx.ModelProto:
    """Return `model`, or a copy without local functions if it has any.

    With `binary` False binary convolutions stay calls of their function, for engines that have
    kernels for them. A node of a function is named after its call: it has the call's scope
    (`layer1/Block` gives `layer1/Conv`) or, if the call's name has none, the call's name as its
    scope.
    """
    from onnx import inliner

    kept = [] if binary else [(DOMAIN, OPERATOR)]
    if not _others(model, kept):
        return model
    flat = inliner.inline_selected_functions(model, kept, exclude=True)
    if _others(flat, kept):  # of another operator set than the model's
        flat = inliner.inline_local_functions(flat, convert_version=True)
    for node, call in zip(flat.graph.node, calls(model.graph, flat.graph), strict=True):
        if call and node.name != call:
            scope = call.rpartition("/")[0] or call
            own = _NUMBER.sub("", node.name.rpartition("/")[2])
            node.name = f"{scope}/{own or node.op_type}"
    return flat


def _others(model: onnx.ModelProto, kept: list[tuple[str, str]]) -> bool:
    return any((one.domain, one.name) not in kept for one in model.functions)


def calls(before: onnx.GraphProto, graph: onnx.GraphProto) -> list[str]:
    """Return, for each expanded node, the name of the node of `before` that it is part of.

    Expansion keeps the order of nodes and the names of a call's outputs, so all nodes up to the one
    with a call's output belong to that call.
    """
    made = {output: node.name for node in before.node for output in node.output if output}
    found: list[str] = []
    for index, node in enumerate(graph.node):
        call = next((made[output] for output in node.output if output in made), None)
        if call is not None:
            found += [call] * (index + 1 - len(found))
    return found + [""] * (len(graph.node) - len(found))
