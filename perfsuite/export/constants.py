"""The values of a graph that are written in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def constants_of(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return a graph's initializers and what its Constants give, by name, those of bodies apart.

    A weight that is also an input is among them; texts and sparse values of Constants are not.
    """
    from onnx import numpy_helper

    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        value = constant_of(node)
        if value is not None:
            found[node.output[0]] = value
    return found


def constant_of(node: onnx.NodeProto) -> np.ndarray | None:
    """Return the numbers that a Constant gives; None of other nodes, texts and sparse values."""
    from onnx import helper, numpy_helper

    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    match attribute.name:
        case "value" if value.data_type != value.STRING:
            stored: np.ndarray = numpy_helper.to_array(value)
            return stored
        case "value_float" | "value_floats":
            return np.asarray(value, np.float32)
        case "value_int" | "value_ints":
            return np.asarray(value, np.int64)
    return None
