"""Inputs that are left out at a node's end, as an empty name, of which OpenVINO makes a value.

A Gemm without a bias may be written as one with a bias that has no name; it is read, and cannot be
compiled (OpenVINO 2026.4). What is left out at the end need not be named at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.export.bodies import every_node

if TYPE_CHECKING:
    import onnx


def without_empty_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which no node's last inputs have an empty name."""
    if not any(_ends_empty(node) for node in every_node(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for node in every_node(copy.graph):
        while _ends_empty(node):
            del node.input[-1]
    return copy


def _ends_empty(node: onnx.NodeProto) -> bool:
    return bool(node.input) and not node.input[-1]
