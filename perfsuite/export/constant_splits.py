"""A constant that a graph splits becomes several, which folding by onnxscript leaves undone.

The weights of PyTorch's attention with other keys than queries are such: one matrix for all three.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def fold_splits(graph: Any) -> bool:
    """Make initializers of the results of each `Split` of a constant; return whether any was.

    `graph` is one of onnx_ir's, whose outermost nodes alone are changed.
    """
    found = [node for node in list(graph) if _parts(node) is not None]
    for node in found:
        for value, part in zip(node.outputs, _parts(node) or (), strict=True):
            _become(graph, value, part)
        graph.remove(node, safe=True)
    return bool(found)


def _parts(node: Any) -> list[np.ndarray] | None:
    """Return what a `Split` makes; None for other nodes, and of what is not constant."""
    if node.op_type != "Split" or node.domain != "":
        return None
    if any(value.is_graph_output() for value in node.outputs):
        return None
    given = _constant(node.inputs[0])
    sizes = node.inputs[1] if len(node.inputs) > 1 else None
    if given is None or (sizes is not None and _constant(sizes) is None):
        return None
    axis = node.attributes.get_int("axis", 0)
    if sizes is not None:
        lengths = [int(length) for length in _constant(sizes)]
    elif "split" in node.attributes:  # of operator sets before 13
        lengths = list(node.attributes["split"].as_ints())
    else:
        lengths = [-(-given.shape[axis] // len(node.outputs))] * len(node.outputs)
    return np.split(given, np.cumsum(lengths)[:-1], axis)


def _constant(value: Any) -> Any:
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return np.asarray(value.const_value.numpy())


def _become(graph: Any, value: Any, part: np.ndarray) -> None:
    """Have all that reads `value` read a constant of the same name."""
    import onnx_ir as ir

    name, value.name = value.name, None
    made = ir.Value(
        name=name,
        shape=ir.Shape(part.shape),
        type=value.type or ir.TensorType(ir.DataType.from_numpy(part.dtype)),
        const_value=ir.tensor(np.ascontiguousarray(part), name=name),
    )
    graph.register_initializer(made)
    value.replace_all_uses_with(made)
