"""The multiply-accumulates (MACs) of each node of a graph, for inputs of known sizes.

Most shapes can be inferred. Where they cannot, behind an operator that ONNX does not know or where
sizes depend on values, and for branches and loops, the graph is run once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.domain.task import Inputs
from perfsuite.export.bodies import bodies, names_read_by
from perfsuite.export.contrib_operators import formula_of, is_free, node_macs
from perfsuite.export.operators import CONTROL, operator_name
from perfsuite.export.shapes import Inferred, Shapes, infer, known

if TYPE_CHECKING:
    import onnx

_UNKNOWN = " of unknown "  # in the name of what has a formula, and could not be counted


class NodeCount(NamedTuple):
    """The MACs of a node with its subgraphs; and what of it could not be counted, by number."""

    macs: int = 0
    uncounted: Mapping[str, int] = {}


class CountedGraph(NamedTuple):
    """A graph with functions expanded, its tensors' shapes, and the count of each of its nodes."""

    inferred: Inferred
    counts: list[NodeCount]


def count_nodes(
    model: onnx.ModelProto, inputs: Inputs | None, *, every_shape: bool = False
) -> CountedGraph:
    """Return the count of each node for a call with `inputs`; without them every open axis is 1.

    The graph is run where counts depend on it, and with `every_shape` where any shape does. What
    cannot be told without, and does not run on ONNX Runtime, is uncounted. A node that no output
    follows from is run by no engine, and counts nothing.
    """
    counted = _of_all_nodes(model, inputs, every_shape=every_shape)
    live = _live(counted.inferred.graph)
    counts = [one if place in live else NodeCount() for place, one in enumerate(counted.counts)]
    return counted._replace(counts=counts)


def _live(graph: onnx.GraphProto) -> set[int]:
    """Return the places of the nodes that an output follows from; they are in order."""
    wanted = {value.name for value in graph.output}
    found: set[int] = set()
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if not wanted.isdisjoint(node.output):
            found.add(place)
            wanted |= names_read_by(node)
    return found


def _of_all_nodes(
    model: onnx.ModelProto, inputs: Inputs | None, *, every_shape: bool
) -> CountedGraph:
    from perfsuite.export.running import CannotRun, run_counted

    given = None if inputs is None else {name: array.shape for name, array in inputs.items()}
    inferred = infer(model, given)
    counts = static_counts(inferred.graph, inferred.shapes)
    lacking = any(_UNKNOWN in name for one in counts for name in one.uncounted)
    if every_shape and not lacking:
        outputs = (name for node in inferred.graph.node for name in node.output if name)
        lacking = any(name not in inferred.shapes for name in outputs)
    if inputs is None or not lacking:
        return CountedGraph(inferred, counts)
    try:
        shapes, counts = run_counted(inferred, inputs)
    except CannotRun:
        return CountedGraph(inferred, counts)
    return CountedGraph(inferred._replace(shapes=shapes), counts)


def together(counts: Iterable[NodeCount]) -> NodeCount:
    """Return the sum of some counts."""
    macs, uncounted = 0, Counter[str]()
    for one in counts:
        macs += one.macs
        uncounted.update(one.uncounted)
    return NodeCount(macs, uncounted)


def plain_count(node: onnx.NodeProto, shapes: Shapes) -> NodeCount:
    """Return the count of a node without subgraphs."""
    macs = node_macs(node, shapes)
    if macs is not None:
        return NodeCount(macs)
    unknown = formula_of(node) is not None
    return NodeCount(0, {operator_name(node) + f"{_UNKNOWN}size" * unknown: 1})


def static_counts(graph: onnx.GraphProto, shapes: Shapes) -> list[NodeCount]:
    """Return the count of each node as far as it does not depend on values."""
    return [
        _static_control(node, shapes) if is_control(node) else plain_count(node, shapes)
        for node in graph.node
    ]


def is_control(node: onnx.NodeProto) -> bool:
    """Return whether a node runs the subgraphs that it has."""
    return operator_name(node) in CONTROL


def computes(node: onnx.NodeProto) -> bool:
    """Return whether a node, or any in its subgraphs, may multiply and accumulate."""
    if is_control(node):
        return any(computes(inner) for graph in bodies(node) for inner in graph.node)
    return not is_free(node)


def _static_control(node: onnx.NodeProto, shapes: Shapes) -> NodeCount:
    if not computes(node):
        return NodeCount()
    if node.op_type != "If":
        return NodeCount(0, {f"{node.op_type}{_UNKNOWN}length": 1})
    branches = [
        together(static_counts(graph, {**shapes, **known(graph)[0]})) for graph in bodies(node)
    ]
    first = branches[0]
    if all(one.macs == first.macs and not one.uncounted for one in branches):
        return first
    return NodeCount(0, {f"If{_UNKNOWN}branch": 1})
