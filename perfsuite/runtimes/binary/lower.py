"""Nodes of a segment become steps, each with all that can be done before its result is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perfsuite.runtimes.binary.finish import Finish
from perfsuite.runtimes.binary.forms import (
    AddForm,
    Forms,
    JoinForm,
    OpForm,
    StepForm,
    ViewForm,
    needs,
)
from perfsuite.runtimes.binary.graph import Graph
from perfsuite.runtimes.binary.layout import TILE_CHANNELS
from perfsuite.runtimes.binary.plan import Port, StepKind, Steps

if TYPE_CHECKING:
    import onnx

Floats = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[Any]]


@dataclass(eq=False)
class Op:
    """An operation of a step that is being made: with numbers, or the value that it adds."""

    kind: Any
    numbers: tuple[npt.NDArray[np.float32], ...] = ()
    value: str = ""


@dataclass(eq=False)
class Step:
    """A step that is being made. `values[i]` is what it holds after i operations."""

    kind: StepKind
    origins: list[str]
    source: str
    channels: int
    form: StepForm | None
    values: list[str]
    ops: list[Op] = field(default_factory=list)
    source_channels: int = 0
    source_first: int = 0
    first: int = 0
    group: int = 0


class Lowering:
    """Makes steps of the nodes of one segment, in their order."""

    def __init__(self, graph: Graph, forms: Forms, inputs: Sequence[str], tensors: Tensors) -> None:
        self.graph, self.forms, self.inputs = graph, forms, tuple(inputs)
        self.steps: list[Step] = []
        self.held: dict[str, Step] = {}  # values, and the step that has them at some time
        self.ready: dict[str, int] = {}  # values, and the step after which they are there
        self.views: dict[str, str] = {}
        self.copies: dict[str, str] = {}  # inputs, and their copies with channels together
        self.repeats: dict[str, onnx.NodeProto] = {}  # values that nobody needs to store
        self.stored: set[str] = set()
        self.bits: dict[str, list[tuple[str, Floats]]] = defaultdict(list)
        self.tensors = tensors
        self.channels = {name: _known(graph.channels(name)) for name in inputs}

    def steps_of(self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> Steps:
        """Return the nodes as steps; their numbers are then in `tensors`."""
        ours = {id(node) for node in nodes}
        for node in self._ordered(nodes):
            if self._repeats(node, ours, outputs):
                self.repeats[node.output[0]] = node
            else:
                self._take(node)
        left = tuple(
            Port(name, self._stored(name), self.channels[self._seen(name)], self.graph.rank(name))
            for name in outputs
        )
        steps = tuple(Finish(self, step).plan() for step in self.steps)
        ports = tuple(
            Port(name, name, self.channels[name], self.graph.rank(name)) for name in self.inputs
        )
        return Steps(
            steps, ports, left, {name: self.channels[name] for name in sorted(self.stored)}
        )

    def _ordered(self, nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
        """Yield the nodes, those of a shortcut before the convolution that it leads around.

        The step of the convolution can then add what they give.
        """
        missing = {name for node in nodes for name in node.output}
        waiting = list(nodes)
        while waiting:
            able = [one for one in waiting if missing.isdisjoint(needs(self.forms, one))]
            node = next((one for one in able if self._leads_around(one)), able[0])
            waiting.remove(node)
            missing.difference_update(node.output)
            yield node

    def _leads_around(self, node: onnx.NodeProto) -> bool:
        form = self.forms.of(node)
        return isinstance(form, JoinForm) or (
            isinstance(form, StepForm) and form.kind in ("max", "mean")
        )

    def _take(self, node: onnx.NodeProto) -> None:
        form, result = self.forms.of(node), node.output[0]
        if isinstance(form, ViewForm):
            self.views[result] = form.value
        elif isinstance(form, OpForm):
            self._extend(self._ending_with(form.value), node, Op(form.kind, form.numbers))
        elif isinstance(form, AddForm):
            self._add(node, *form.values)
        elif isinstance(form, JoinForm):
            self._join(node, form.values)
        elif isinstance(form, StepForm) and form.kind == "binary":
            self._binary(node, form)
        elif isinstance(form, StepForm):
            beside = form.kind in ("max", "mean")  # channels lie beside each other
            source = self._stored(form.source) if beside else self._source(form.source)
            channels = _known(self.graph.channels(result))
            step = Step(form.kind, [node.name], source, channels, form, [result])
            step.source_channels = self.channels[self._seen(form.source)]
            self._append(step)

    def _binary(self, node: onnx.NodeProto, form: StepForm) -> None:
        groups, result = form.geometry.group, node.output[0]
        channels, threshold = _known(self.graph.channels(result)), form.threshold
        assert threshold is not None  # of a binary form
        if groups == 1:
            self._want_bits(form.source, node.name, threshold)
            step = Step("binary", [node.name], node.name, channels, form, [result])
            step.source_channels = len(threshold)
            self._append(step)
            return
        each, filters = len(threshold) // groups, channels // groups
        for group in range(groups):
            reader = f"{node.name}#{group}"
            first = group * each
            self._copied(form.source, f"{reader} read", each, first)
            self._want_bits(f"{reader} read", reader, threshold[first : first + each])
            step = Step("binary", [node.name], reader, filters, form, [f"{reader} sums"])
            step.source_channels, step.group, step.first = each, group, group * filters
            self._append(step)
            self._part(step, result, channels)

    def _join(self, node: onnx.NodeProto, sources: Sequence[str]) -> None:
        first, channels = 0, _known(self.graph.channels(node.output[0]))
        for index, source in enumerate(sources):
            step = self._copied(source, f"{node.name}#{index}")
            step.origins.append(node.name)
            step.first = first
            self._part(step, node.output[0], channels)
            first += step.channels

    def _part(self, step: Step, whole: str, channels: int) -> None:
        """Let a step store what it has as a part of the channels of a value."""
        step.ops.append(Op("store", value=whole))
        step.values.append(f"{step.values[-1]} stored")
        self.stored.add(whole)
        self.channels[whole] = channels
        self.ready[whole] = len(self.steps) - 1

    def _repeats(self, node: onnx.NodeProto, ours: set[int], outputs: Sequence[str]) -> bool:
        """Tell whether a node joins one value with itself for a sum that can read it repeatedly."""
        form, result, readers = self.forms.of(node), node.output[0], self.graph.readers
        if not isinstance(form, JoinForm) or len(set(form.values)) > 1 or result in outputs:
            return False
        for reader in readers[result]:
            if id(reader) not in ours or not isinstance(self.forms.of(reader), AddForm):
                return False
        return _known(self.graph.channels(form.values[0])) % TILE_CHANNELS == 0

    def _add(self, node: onnx.NodeProto, one: str, other: str) -> None:
        """Add to the value that is made last the other one, which is stored by then."""
        if self._add_repeat(node, one, other) or self._add_repeat(node, other, one):
            return
        for value in {one: None, other: None}:
            if value in self.repeats:
                self._take(self.repeats.pop(value))
        one, other = self._placed(one), self._placed(other)
        if self.ready[one] < self.ready[other]:
            one, other = other, one
        step = self._ending_with(one)
        if self.ready[other] >= self.steps.index(step):
            step = self._copied(one, f"{one} again for {node.name}")
        self._extend(step, node, Op("add", value=self._stored(other)))

    def _add_repeat(self, node: onnx.NodeProto, value: str, repeat: str) -> bool:
        """Add a value that is joined with itself, if what it is joined of is there by then."""
        if repeat not in self.repeats or value in self.repeats:
            return False
        join = self.repeats[repeat]
        value, whole = self._placed(value), self._placed(join.input[0])
        step = self.held.get(value)
        if step is None or step.values[-1] != value:
            return False
        if self.ready[whole] >= self.steps.index(step):
            return False
        step.origins.append(join.name)
        self._extend(step, node, Op("add", value=self._stored(whole)))
        return True

    def _want_bits(self, source: str, reader: str, threshold: Floats) -> None:
        value = self._placed(source)
        if value not in self.held:
            value = f"{reader} read"
            self._copied(source, value)
        self.bits[value].append((reader, threshold))

    def _seen(self, value: str) -> str:
        """Return what a view is a view of, or the value itself."""
        while value in self.views:
            value = self.views[value]
        return value

    def _source(self, value: str) -> str:
        """Return the name of a value that is read as it came, or as it was stored."""
        value = self._seen(value)
        return value if value in self.inputs else self._stored(value)

    def _placed(self, value: str) -> str:
        """Return the name of a value with channels together: of an input, that of its copy."""
        value = self._seen(value)
        if value not in self.inputs:
            return value
        if value not in self.copies:
            self.copies[value] = f"{value} beside each other"
            self._copied(value, self.copies[value])
        return self.copies[value]

    def _stored(self, value: str) -> str:
        value = self._placed(value)
        self.stored.add(value)
        return value

    def _ending_with(self, value: str) -> Step:
        """Return a step that holds a value at its end: the one that makes it, or a copy."""
        value = self._seen(value)
        step = self.held.get(value)
        if step is not None and step.values[-1] == value:
            return step
        return self._copied(value, f"{value} copy {len(self.steps)}")

    def _copied(self, value: str, name: str, channels: int = 0, first: int = 0) -> Step:
        source = self._source(value)
        every = self.channels[self._seen(value)]
        step = Step("copy", [], source, channels or every, None, [name])
        step.source_channels, step.source_first = every, first
        self._append(step)
        return step

    def _append(self, step: Step) -> None:
        self.steps.append(step)
        self._note(step)

    def _extend(self, step: Step, node: onnx.NodeProto, op: Op) -> None:
        step.ops.append(op)
        step.origins.append(node.name)
        step.values.append(node.output[0])
        self._note(step)

    def _note(self, step: Step) -> None:
        value = step.values[-1]
        self.held[value], self.ready[value] = step, self.steps.index(step)
        self.channels[value] = step.channels


def _known(channels: int | None) -> int:
    assert channels is not None  # forms take no value of unknown channels
    return channels
