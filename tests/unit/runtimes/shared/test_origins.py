"""Which nodes a kernel was merged of, worked out by hand."""

from __future__ import annotations

from perfsuite.domain.profile import Node
from perfsuite.runtimes.shared.origins import Graph, merged


def chain(*kinds: str) -> Graph:
    """Return nodes in a row; the i-th takes value i and makes value i + 1."""
    nodes = [
        Node(kind, kind, "", (str(index),), (str(index + 1),)) for index, kind in enumerate(kinds)
    ]
    return Graph(nodes)


def test_what_nobody_keeps_was_computed_inside_the_kernel_that_needs_it() -> None:
    graph = chain("Conv", "Relu", "MaxPool")
    assert merged(graph, [[2]]) == [[0, 1, 2]]


def test_a_stored_value_ends_the_kernel_that_takes_it() -> None:
    graph = chain("Conv", "Relu", "MaxPool")
    assert merged(graph, [[2]], stored={"2"}) == [[2]], "the ReLU's result lies in memory"
    assert merged(graph, [[2]], stored={"1"}) == [[1, 2]], "the convolution's does"


def test_a_node_that_another_kernel_owns_is_left_to_it() -> None:
    graph = chain("Conv", "Relu", "MaxPool")
    assert merged(graph, [[0], [2]]) == [[0], [1, 2]]
    assert merged(graph, [[0, 1], [1, 2]]) == [[0, 1], [1, 2]]
