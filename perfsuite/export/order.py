"""Nodes are put into an order in which each comes after those whose results it reads.

ONNX asks for it, and onnxruntime runs a graph without it all the same, since it sorts by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfsuite.export.bodies import bodies

if TYPE_CHECKING:
    import onnx


def sort_nodes(model: onnx.ModelProto) -> None:
    """Sort the nodes of `model` in place, those of bodies and of local functions too.

    Nodes that stand in order already stay where they are, as do those of a graph that has no such
    order: it runs in a circle, or gives a name twice, which the checker tells.
    """
    for graph in (model.graph, *model.functions):
        _sort(graph)


def _sort(graph: Any) -> None:
    for node in graph.node:
        for body in bodies(node):
            _sort(body)
    order = _order([_read(node) for node in graph.node], [list(node.output) for node in graph.node])
    if order == list(range(len(graph.node))):
        return
    # `extend` copies a message, and clearing the field frees the one that it was copied from.
    nodes = [type(node).FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes[place] for place in order)


def _order(read: Sequence[set[str]], made: Sequence[Sequence[str]]) -> list[int]:
    """Return the places of nodes in a topological order, by depth first, else as they are."""
    unsorted = list(range(len(read)))
    makers: dict[str, int] = {}
    for place, names in enumerate(made):
        for name in filter(None, names):
            if makers.setdefault(name, place) != place:
                return unsorted
    before = [sorted({makers[name] for name in names if name in makers}) for names in read]
    order: list[int] = []
    done, entered = set[int](), set[int]()
    for start in unsorted:
        waiting = [start]
        while waiting:
            place = waiting[-1]
            if place in done:
                waiting.pop()
                continue
            open_ = [one for one in before[place] if one not in done]
            if not open_:
                done.add(place)
                order.append(place)
                waiting.pop()
            elif place in entered:
                return unsorted  # it waits for itself
            else:
                entered.add(place)
                waiting += reversed(open_)
    return order


def _read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, and that its bodies read or give."""
    names = set(node.input)
    for body in bodies(node):
        names.update(value.name for value in body.output)
        for inner in body.node:
            names |= _read(inner)
    return names
