"""Kernels are traced back to the nodes of the graph that an engine was given.

An engine names some of the nodes that it merged into a kernel. The others follow from the graph: a
value that no kernel stores in memory was computed inside the kernel that reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from perfsuite.domain.profile import Node


class Graph:
    """The given nodes in topological order, with the maker and the readers of each value."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.names = {node.name: index for index, node in enumerate(nodes)}
        self.producers = {
            value: index for index, node in enumerate(nodes) for value in node.outputs
        }
        self.consumers: dict[str, list[int]] = defaultdict(list)
        for index, node in enumerate(nodes):
            for value in node.inputs:
                self.consumers[value].append(index)


def merged(
    graph: Graph, known: Sequence[Collection[int]], stored: Collection[str] = ()
) -> list[list[int]]:
    """Return, for each kernel, the indices of all nodes merged into it, in the graph's order.

    `known` are the nodes that the engine names for each kernel. To these are added the nodes before
    them that no kernel is known to contain, back to the values that are `stored` between kernels.
    """
    owners: dict[int, set[int]] = defaultdict(set)
    for kernel, indices in enumerate(known):
        for index in indices:
            owners[index].add(kernel)
    found = []
    for kernel, indices in enumerate(known):
        inside, queue = set(indices), list(indices)
        while queue:
            for value in graph.nodes[queue.pop()].inputs:
                above = graph.producers.get(value)
                if above is None or above in inside or value in stored:
                    continue
                if above not in owners or kernel in owners[above]:
                    inside.add(above)
                    queue.append(above)
        found.append(sorted(inside))
    return found


def neighbours(
    kernels: Sequence[Node], origins: Sequence[Sequence[str]], products: Collection[str]
) -> list[tuple[str, ...]]:
    """Return, for each kernel without origins, the origins of the kernels near it; else ().

    The nearest come first. Of equally near ones, those with one of the `products` (convolutions and
    matrix products, because layouts are changed for these) come first, then those before it.
    """
    graph = Graph(kernels)
    return [
        () if origins[index] else _round(graph, index, origins, products)
        for index in range(len(kernels))
    ]


def _round(
    graph: Graph, start: int, origins: Sequence[Sequence[str]], products: Collection[str]
) -> tuple[str, ...]:
    found: list[tuple[int, bool, bool, int]] = []
    for behind in (False, True):
        seen, ring, distance = {start}, [start], 0
        while ring:
            distance += 1
            ring = [n for index in ring for n in _next(graph, index, behind=behind)]
            ring = [index for index in dict.fromkeys(ring) if index not in seen]
            seen.update(ring)
            for index in ring:
                plain = not any(name in products for name in origins[index])
                if origins[index]:
                    found.append((distance, plain, behind, index))
            ring = [index for index in ring if not origins[index]]
    nearest = [
        sorted(origins[index], key=lambda name: name not in products) for *_, index in sorted(found)
    ]
    return tuple(dict.fromkeys(name for names in nearest for name in names))


def _next(graph: Graph, index: int, *, behind: bool) -> list[int]:
    node = graph.nodes[index]
    if behind:
        return [taker for value in node.outputs for taker in graph.consumers[value]]
    return [graph.producers[value] for value in node.inputs if value in graph.producers]
