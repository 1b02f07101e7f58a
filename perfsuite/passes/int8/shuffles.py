"""Channels go from where they arise to where they are read without being shuffled on the way.

ShuffleNetV2 (Ma et al. 2018, arXiv:1807.11164) joins two branches, shuffles the channels and splits
them again, unit after unit: most channels are copied many times before a convolution reads them.
But a convolution can take its channels in any order, if its weights have the same. So each
convolution gives its channels in the order in which they will be read, one `Split` parts them, and
a `Concat` brings together what a later convolution reads.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import names_made, names_read_by, unused_name
from perfsuite.passes.int8.channel_routes import (
    Channel,
    Route,
    Routes,
    is_depthwise,
    routes_of,
)

if TYPE_CHECKING:
    import onnx

Part = tuple[str, int, int]  # the channels of a source between two places


def without_shuffles(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` in which convolutions read channels as they come, without shuffles.

    Names stay, but results within the graph may have their channels in another order. It is `model`
    itself where no shuffle can go, or more nodes would be left that move channels.
    """
    routes = routes_of(model)
    if not routes.shuffles:
        return model
    plan = _planned(routes)
    return _Rewriting(model, routes, plan).done() if _is_worthwhile(routes, plan) else model


@dataclass(frozen=True)
class _Plan:
    """`order` has, for each source, its channels in their new order; `parts` how it is split.

    `read` has what is read instead of each tensor, `gone` the results of nodes that go.
    """

    order: dict[str, list[int]]
    parts: dict[str, list[Part]]
    read: dict[str, list[Part]]
    gone: set[str]

    def channels(self, tensor: str) -> Route:
        """Return the channels that are read instead of a tensor's, by their former places."""
        return [
            (name, place) for name, start, end in self.read[tensor]
            for place in self.order[name][start:end]
        ]  # fmt: skip


def _planned(routes: Routes) -> _Plan:
    free = _free(routes)
    read_by: dict[Channel, list[int]] = defaultdict(list)
    for number, tensor in enumerate(free):
        for channel in routes.of(tensor):
            read_by[channel].append(number)
    order: dict[str, list[int]] = {}
    parts: dict[str, list[Part]] = {}
    for source in dict.fromkeys(name for name, _ in read_by):
        places = list(range(len(routes.of(source))))
        if routes.giver(source) is not None:
            places.sort(key=lambda place: (read_by[source, place], place))
        kinds = [read_by[source, place] for place in places]
        cuts = [place for place in range(1, len(kinds)) if kinds[place] != kinds[place - 1]]
        order[source] = places
        parts[source] = [(source, *ends) for ends in pairwise([0, *cuts, len(kinds)])]
    read = {}
    for tensor in free:
        wanted = {*routes.of(tensor)}
        read[tensor] = [
            part for source in routes.sources(tensor) for part in parts[source]
            if (source, order[source][part[1]]) in wanted
        ]  # fmt: skip
    return _Plan(order, parts, {t: _whole(read[t], parts) for t in read}, _gone(routes, {*free}))


def _free(routes: Routes) -> list[str]:
    """Return the tensors that are read in any order, in the order of their first readers.

    A source of which anything is read in its own order keeps that, as do all that are joined with
    it: the nodes that move them stay.
    """
    reading: dict[str, None] = {}
    fixed: set[str] = set()
    sources = dict.fromkeys(source for moved in routes.moved for source in routes.sources(moved))
    for tensor in [*sources, *routes.moved]:
        readers = [node for node in routes.readers[tensor] if not routes.moves(node)]
        once = len({*routes.of(tensor)}) == len(routes.of(tensor))
        any_order = all(routes.takes_any_order(node, tensor) for node in readers)
        if tensor in routes.kept or (readers and not (once and any_order)):
            fixed.update(routes.sources(tensor))
        elif readers:
            reading[tensor] = None
    while bound := [t for t in reading if fixed.intersection(routes.sources(t))]:
        for tensor in bound:
            fixed.update(routes.sources(tensor))
            del reading[tensor]
    place = {id(node): number for number, node in enumerate(routes.graph.node)}
    return sorted(reading, key=lambda t: min(place[id(node)] for node in routes.readers[t]))


def _whole(read: Sequence[Part], parts: dict[str, list[Part]]) -> list[Part]:
    """Return `read`, in which a source that is read as a whole is one part."""
    joined: list[Part] = []
    for source in dict.fromkeys(part[0] for part in read):
        mine = [part for part in read if part[0] == source]
        whole = (source, 0, parts[source][-1][2])
        joined += [whole] if mine == parts[source] else mine
    return joined


def _gone(routes: Routes, free: set[str]) -> set[str]:
    """Return the results that nothing reads once the readers of `free` read something else."""
    gone: set[str] = set()
    for node in reversed(routes.graph.node):
        if routes.moves(node) and all(
            name not in routes.kept
            and all(
                gone.issuperset(reader.output) if routes.moves(reader) else name in free
                for reader in routes.readers[name]
            )
            for name in node.output
        ):
            gone.update(node.output)
    return gone


def _is_worthwhile(routes: Routes, plan: _Plan) -> bool:
    """Tell whether a shuffle goes, and fewer nodes are left."""
    going = [node for node in routes.graph.node if plan.gone.intersection(node.output)]
    made = sum(len(parts) > 1 for parts in plan.parts.values())
    made += len({tuple(parts) for parts in plan.read.values() if len(parts) > 1})
    return any(node.op_type == "Transpose" for node in going) and made < len(going)


class _Rewriting:
    """Writes a copy of a graph by a plan."""

    def __init__(self, model: onnx.ModelProto, routes: Routes, plan: _Plan) -> None:
        self.routes, self.plan = routes, plan
        self.model = type(model)()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.taken = names_made(graph)
        self.uses = Counter(name for node in graph.node for name in names_read_by(node))
        self.uses.update(value.name for value in graph.output)  # a weight may be one
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in {*node.input}:
                self.readers[name].append(node)
        self.named: dict[Part, str] = {}  # the tensors that hold parts of sources
        self.joined: dict[tuple[Part, ...], str] = {}

    def done(self) -> onnx.ModelProto:
        plan, graph = self.plan, self.model.graph
        for source, places in plan.order.items():
            giver = self.routes.giver(source)
            if giver is not None:
                self._permute(self.producer[giver.output[0]], 0, places)
        written: list[onnx.NodeProto] = []
        for value in graph.input:
            written += self._parted(value.name, "")
        for node in [one for one in graph.node if not plan.gone.intersection(one.output)]:
            if not self.routes.moves(node):  # one that stays moves what nothing else may reorder
                for tensor in plan.read.keys() & {*node.input}:
                    written += self._brought(node, tensor)
            written.append(node)
            for name in node.output:
                written += self._parted(name, node.name)
        del graph.node[:]
        graph.node.extend(written)
        stale = plan.gone | plan.order.keys()
        known = [value for value in graph.value_info if value.name not in stale]
        del graph.value_info[:]
        graph.value_info.extend(known)
        return self.model

    def _parted(self, source: str, beside: str) -> list[onnx.NodeProto]:
        """Return the node that splits a source, if one is needed."""
        from onnx import helper, numpy_helper

        parts = self.plan.parts.get(source, [])
        if not parts:
            return []
        self.named[source, 0, parts[-1][2]] = source
        if len(parts) == 1:
            return []
        names = [unused_name(f"{source}_part{i}", self.taken) for i in range(len(parts))]
        self.named.update(zip(parts, names, strict=True))
        sizes = unused_name(f"{source}_sizes", self.taken)
        lengths = np.array([end - start for _, start, end in parts], np.int64)
        self.model.graph.initializer.append(numpy_helper.from_array(lengths, sizes))
        name = self._name_beside(beside, "Split")
        return [helper.make_node("Split", [source, sizes], names, name, axis=1)]

    def _brought(self, node: onnx.NodeProto, tensor: str) -> list[onnx.NodeProto]:
        """Let `node` read its parts in place of `tensor`; return the node that joins them."""
        from onnx import helper

        key, made = tuple(self.plan.read[tensor]), []
        if len(key) == 1:
            self.joined[key] = self.named[key[0]]
        elif key not in self.joined:
            self.joined[key] = unused_name(f"{tensor}_joined", self.taken)
            parts, name = [self.named[part] for part in key], self._name_beside(node.name, "Concat")
            made = [helper.make_node("Concat", parts, [self.joined[key]], name, axis=1)]
        place = {channel: number for number, channel in enumerate(self.routes.of(tensor))}
        self._follow(node, [place[channel] for channel in self.plan.channels(tensor)])
        node.input[0] = self.joined[key]
        return made

    def _follow(self, node: onnx.NodeProto, places: list[int]) -> None:
        """Put the weights of a reader, and of what reads each channel behind it, into an order."""
        if node.op_type == "Conv" and not is_depthwise(node, self.constants):
            self._permute(node, 1, places)
            return
        if node.op_type == "Conv":
            self._permute(node, 0, places)
        for reader in self.readers[node.output[0]]:
            self._follow(reader, places)

    def _permute(self, node: onnx.NodeProto, axis: int, places: list[int]) -> None:
        """Put the channels of a convolution's weights, and for axis 0 its biases, into an order."""
        from onnx import numpy_helper

        if places == sorted(places):
            return
        for index, name in list(enumerate(node.input))[1 : 3 if axis == 0 else 2]:
            if not name:
                continue
            array = np.take(numpy_helper.to_array(self.constants[name]), places, axis)
            if self.uses[name] == 1:
                self.constants[name].CopyFrom(numpy_helper.from_array(array, name))
                continue
            self.uses[name] -= 1
            own = unused_name(f"{name}_ordered", self.taken)
            self.uses[own] = 1
            self.model.graph.initializer.append(numpy_helper.from_array(array, own))
            self.constants[own] = self.model.graph.initializer[-1]
            node.input[index] = own

    def _name_beside(self, name: str, operator: str) -> str:
        """Return a name for a new node, by which it belongs to the module of another."""
        path = name.rpartition("/")[0]
        return unused_name(f"{path}/{operator}" if path else operator, self.taken)
