"""What a graph holds, the bodies of its control flow included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node of control flow holds."""
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g


def every_node(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph, and those of the bodies that they hold."""
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from every_node(body)


def names_made(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all nodes and of all values that exist."""
    names = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        names.update((node.name, *node.output))
        for body in bodies(node):
            names |= names_made(body)
    return names


def names_read(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all inputs of nodes, and of the outputs of bodies."""
    return set().union(*(names_read_by(node) for node in graph.node))


def names_read_by(node: onnx.NodeProto) -> set[str]:
    """Return the names of a node's inputs, and of all that its bodies read or give."""
    names = set(node.input)
    for body in bodies(node):
        names |= names_read(body) | {value.name for value in body.output}
    return names


def unused_name(base: str, taken: set[str]) -> str:
    """Return `base`, numbered if need be, as a name that is not taken; it is from now on."""
    name, count = base, 0
    while name in taken:
        count += 1
        name = f"{base}_{count}"
    taken.add(name)
    return name
