"""What a graph computes of constants and of sizes alone, so that it is the same in every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.export.bodies import names_read_by

if TYPE_CHECKING:
    import onnx


def fixed_values(graph: onnx.GraphProto) -> set[str]:
    """Return the constants of `graph`, and all that follows from them and from sizes of values.

    Queries that a detector has learned are such, and what its first layers make of them. The sizes
    of an input are the same in every call once its open sides have been settled.
    """
    fixed = {tensor.name for tensor in graph.initializer}
    fixed -= {value.name for value in graph.input}
    for node in graph.node:
        if node.op_type in ("Shape", "Size") or names_read_by(node) - {""} <= fixed:
            fixed.update(name for name in node.output if name)
    return fixed
