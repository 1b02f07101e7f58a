"""Operators that draw random numbers, so that a graph may answer otherwise in each call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.export.bodies import every_node

if TYPE_CHECKING:
    import onnx

_DRAW = (
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
)  # fmt: skip


def drawing_nodes(graph: Path) -> list[str]:
    """Return the nodes of an ONNX file that draw random numbers, each with its operator."""
    from perfsuite.export.onnx import load_graph

    model = load_graph(graph)
    off = {tensor.name for tensor in model.graph.initializer if _is_false(tensor)}
    return [
        f"'{node.name or node.output[0]}' ({node.op_type})"
        for node in every_node(model.graph)
        if node.domain in ("", "ai.onnx") and (node.op_type in _DRAW or _drops(node, off))
    ]


def _drops(node: onnx.NodeProto, off: set[str]) -> bool:
    """Tell whether it is a dropout that its third input may turn on."""
    training = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
    return bool(training) and training not in off


def _is_false(tensor: onnx.TensorProto) -> bool:
    from onnx import TensorProto, numpy_helper

    return tensor.data_type == TensorProto.BOOL and not numpy_helper.to_array(tensor).any()
