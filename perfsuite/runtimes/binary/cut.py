"""A graph is cut into segments: steps of our kernels, and the rest, which ONNX Runtime computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.binary_operator import is_binary_conv
from perfsuite.runtimes.binary.forms import (
    Forms,
    ViewForm,
    needs,
    taken,
)
from perfsuite.runtimes.binary.graph import Graph
from perfsuite.runtimes.binary.lower import Lowering
from perfsuite.runtimes.binary.plan import Plan, Rest, Steps

if TYPE_CHECKING:
    import onnx


@dataclass
class Cut:
    """A plan, the numbers of its steps, and the graphs of its rest by the names of their files."""

    plan: Plan
    tensors: dict[str, npt.NDArray[Any]]
    graphs: dict[str, onnx.ModelProto]


@dataclass
class _Part:
    ours: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)


def cut(model: onnx.ModelProto) -> Cut:
    """Return `model`, whose nodes have names, in as few segments as their order allows."""
    graph = Graph(model)
    if fixed := [name for name in graph.outputs if name in graph.constants]:
        raise Unsupported(
            f"output '{fixed[0]}' is a constant, which no node makes; export the model without it"
        )
    forms = Forms(graph)
    while True:
        parts = _merged(list(_parts(graph, forms)))
        left = [node for part in parts if part.ours for node in _not_ours(graph, forms, part)]
        if not left:
            return _planned(graph, forms, parts)
        for node in left:
            forms.found[node.name] = None


def _not_ours(graph: Graph, forms: Forms, part: _Part) -> Iterator[onnx.NodeProto]:
    """Yield nodes that are better left to the rest.

    These are all of a part without binary convolution, and views whose picture not all readers see.
    """
    if not any(map(is_binary_conv, part.nodes)):
        yield from part.nodes
        return
    for node in part.nodes:
        if isinstance(forms.of(node), ViewForm):
            before, readers = graph.shape(node.input[0]), graph.readers.get(node.output[0], ())
            plain = before is None or len(before) != 4 or before[2:] == (1, 1)
            if not plain and any(forms.of(reader) is None for reader in readers):
                yield node


def _used(graph: Graph, forms: Forms) -> list[onnx.NodeProto]:
    """Return the nodes on whose results the outputs depend, in order."""
    wanted, found = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.output):
            wanted.update(needs(forms, node))
            found.append(node)
    return found[::-1]


def _parts(graph: Graph, forms: Forms) -> Iterator[_Part]:
    """Yield the nodes by turns: all of ours that can be computed, then all others that can."""
    there = {*graph.inputs, *graph.constants}
    waiting, ours = _used(graph, forms), True
    while waiting:
        part, later = _Part(ours), []
        for node in waiting:
            mine = forms.of(node) is not None
            if mine == ours and there.issuperset(needs(forms, node)):
                part.nodes.append(node)
                there.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting) and not ours:
            missing = sorted(set(needs(forms, later[0])) - there)
            raise BuildError(
                f"node '{later[0].name}' reads {', '.join(missing)}, which nothing makes; export "
                f"the model again"
            )
        if part.nodes:
            yield part
        waiting, ours = later, not ours


def _merged(parts: Sequence[_Part]) -> list[_Part]:
    """Return the parts with neighbours of one kind as one."""
    found: list[_Part] = []
    for part in parts:
        if found and found[-1].ours == part.ours:
            found[-1].nodes += part.nodes
        else:
            found.append(part)
    return found


def _planned(graph: Graph, forms: Forms, parts: Sequence[_Part]) -> Cut:
    segments: list[Steps | Rest] = []
    tensors: dict[str, npt.NDArray[Any]] = {}
    graphs: dict[str, onnx.ModelProto] = {}
    for index, part in enumerate(parts):
        made = {name for node in part.nodes for name in node.output}
        reads = [
            name
            for name in _once(name for node in part.nodes for name in needs(forms, node))
            if name not in made and name not in graph.constants
        ]
        later = {
            name for other in parts[index + 1 :] for node in other.nodes
            for name in needs(forms, node)
        }  # fmt: skip
        gives = [
            name
            for name in _once(name for node in part.nodes for name in node.output)
            if name in later or name in graph.outputs
        ]
        if part.ours:
            lowering = Lowering(graph, forms, reads, tensors)
            segments.append(lowering.steps_of(part.nodes, gives))
        else:
            file = f"rest{index}.onnx"
            graphs[file] = _model(graph, part.nodes, reads, gives)
            names = tuple(f"{node.name} {node.op_type}" for node in part.nodes)
            segments.append(Rest(file, tuple(reads), tuple(gives), names))
    return Cut(Plan(tuple(segments), tuple(graph.inputs), tuple(graph.outputs)), tensors, graphs)


def _once(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _model(
    graph: Graph, nodes: Sequence[onnx.NodeProto], reads: Sequence[str], gives: Sequence[str]
) -> onnx.ModelProto:
    """Return a model of some nodes of the graph."""
    import onnx
    from onnx import helper, numpy_helper

    unknown = [name for name in (*reads, *gives) if name not in graph.types]
    if unknown:
        raise BuildError(
            f"the type of {', '.join(unknown)} is not known without running the graph; export the "
            f"model with the types of its values"
        )
    constants = _once(name for node in nodes for name in taken(node) if name in graph.constants)
    made = helper.make_graph(
        list(nodes),
        graph.model.graph.name or "rest",
        [onnx.ValueInfoProto(name=name, type=graph.types[name]) for name in reads],
        [onnx.ValueInfoProto(name=name, type=graph.types[name]) for name in gives],
        [numpy_helper.from_array(graph.constants[name], name) for name in constants],
    )
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    model.graph.CopyFrom(made)
    return model
