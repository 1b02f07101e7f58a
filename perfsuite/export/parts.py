"""Nodes that perfsuite adds to what an engine is given, each a part of the node that it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_PART = "/part-of-node"  # what is appended to that node's name: in breakdowns all are that node


def part_of(node: onnx.NodeProto, what: str) -> str:
    """Return a name for what is added for a node."""
    return f"{node.name or node.output[0]}{_PART}/{what}"


def whole_of(name: str) -> str:
    """Return the name of the node that another is a part of; its own if it is none."""
    return name.partition(_PART)[0]
