"""Which tensors of a graph are quantized; `sharing.py` says which of them share a scale.

The rules follow what engines fuse. ONNX Runtime's `QLinearConv` and `QLinearAdd` want every value
between two operators quantized; OpenVINO and TensorRT add a convolution's result to a shortcut
inside its 32-bit accumulator, and lose speed and accuracy if the result is quantized before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from perfsuite.export.bodies import names_read_by
from perfsuite.export.fixed import fixed_values
from perfsuite.passes.int8.sharing import Placement, Range, Readers, shared, width

if TYPE_CHECKING:
    import onnx

CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("Gemm", "MatMul")
ACTIVATIONS = ("Relu", "Clip")
POOLS = ("AveragePool", "GlobalAveragePool", "ReduceMean")
UNEVEN = 32.0  # ranges of parts this many times apart: the small ones would keep 3 of 8 bits
TAKE_PARTS = ("Slice", "Split")
# Operators that move values and change none, so that their results have their first input's scale.
MOVES = (
    "MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Split", "Slice", "Pad",
    "Identity", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Resize",
)  # fmt: skip


def place(
    graph: onnx.GraphProto,
    *,
    sum_in_accumulator: bool,
    ranges: Mapping[str, Range] | None = None,
    float_operators: tuple[str, ...] = (),
    stays: Collection[str] = (),
) -> Placement:
    """Return what to quantize in `graph`, whose nodes are in topological order.

    `sum_in_accumulator` is true for engines that add a shortcut to a convolution's result before
    they round it. Without `ranges` all that a concatenation joins shares a scale, and the groups
    name all tensors to calibrate, also what is taken out of a concatenation; with these tensors'
    `ranges`, what would lose too many bits keeps a scale of its own, or stays float. Operators that
    the engine runs in float alone are left as they are, and so are the layers whose first results
    are in `stays`, and what follows from constants and sizes alone. The tensors to calibrate are
    then among those of the placement without any.
    """
    flow = _Flow(graph, sum_in_accumulator, float_operators, stays, ranges)
    for node in graph.node:
        flow.visit(node)
    return flow.placement(ranges)


def without(placement: Placement, graph: onnx.GraphProto, tensors: Collection[str]) -> Placement:
    """Return `placement` without the groups of `tensors`, and the layers that read such a group.

    They stay float: what holds infinities by design, as masked scores do, cannot be rounded.
    """
    kept = [place for place, group in enumerate(placement.groups) if not {*group} & {*tensors}]
    groups = tuple(placement.groups[place] for place in kept)
    carriers = {name: kept.index(i) for name, i in placement.carriers.items() if i in kept}
    rounded = carriers.keys() | {name for group in groups for name in group}
    read = {node.output[0]: node.input[0] for node in graph.node if node.output and node.input}
    weighted = tuple(name for name in placement.weighted if read[name] in rounded)
    return replace(placement, groups=groups, carriers=carriers, weighted=weighted)


def channel_axis(node: onnx.NodeProto) -> int:
    """Return the axis of a weighted node's weights that counts its output channels."""
    if node.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1
    return 0 if node.op_type == "Conv" else 1


@dataclass
class _Flow:
    """One walk over the graph: `integer` are the results of 8-bit arithmetic seen so far."""

    graph: onnx.GraphProto
    sum_in_accumulator: bool
    float_operators: tuple[str, ...] = ()
    stays: Collection[str] = ()
    ranges: Mapping[str, Range] | None = None
    weighted: list[str] = field(default_factory=list)
    integer: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)  # results of activations that are fused
    uneven: set[str] = field(default_factory=set)  # concatenations with a part of small values
    parts: set[str] = field(default_factory=set)  # which are taken out of such

    def __post_init__(self) -> None:
        from onnx import TensorProto

        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.floats = {n for n, t in self.constants.items() if t.data_type == TensorProto.FLOAT}
        self.fixed = fixed_values(self.graph)
        self.producer = {out: node for node in self.graph.node for out in node.output}
        self.place_of = {node.output[0]: i for i, node in enumerate(self.graph.node)}
        self.uses = Counter(name for node in self.graph.node for name in node.input)
        self.uses.update(value.name for value in self.graph.output)
        self.activation = {
            node.input[0]: node.output[0] for node in self.graph.node if node.op_type in ACTIVATIONS
        }

    def visit(self, node: onnx.NodeProto) -> None:
        """Note what `node` needs quantized and whether its results are 8-bit."""
        operator = node.op_type
        if operator in self.float_operators or node.output[0] in self.stays:
            return
        if node.output[0] in self.fixed:  # engines compute it once, and may misread what is rounded
            return
        if self._is_uneven(node):
            apart = node.op_type in TAKE_PARTS and {*node.output} <= {*(self.ranges or ())}
            (self.parts if apart else self.uneven).update(node.output)
            return
        if operator in (*CONVOLUTIONS, *PRODUCTS):
            if self._has_weights(node):
                self.weighted.append(node.output[0])
                self.needed.add(node.input[0])
                self._produce(node, rounded=operator in CONVOLUTIONS)
        elif operator == "Add":
            self._visit_add(node)
        elif operator in POOLS:
            if node.input[0] in self.integer:
                self.needed.add(node.input[0])
                self._produce(node, rounded=True)
        elif operator in ACTIVATIONS or self._moves(node):
            if node.input[0] in self.integer:
                self.integer.update(node.output)
        elif operator == "Concat" and self.integer.intersection(node.input):
            self.integer.update(node.output)

    def _is_uneven(self, node: onnx.NodeProto) -> bool:
        """Tell whether a scale for all of a result would round some of its values to nothing.

        A class token beside the tokens of patches is such a part; normalizations make it as large
        as the others. It is rounded only for a layer with weights that reads all of them.
        """
        if node.op_type == "Add" or self._moves(node):
            return not self.uneven.isdisjoint(node.input)
        if node.op_type != "Concat" or self.ranges is None:
            return False
        if not self.uneven.isdisjoint(node.input):
            return True
        widths = [width(span) for name in node.input if (span := self._range_of(name))]
        return bool(widths) and 0 < min(widths) * UNEVEN < max(widths)

    def _range_of(self, name: str) -> Range | None:
        """Return the range of a tensor, or of what it carries, if that was calibrated."""
        while self.ranges and name not in self.ranges and name in self.producer:
            node = self.producer[name]
            if not self._moves(node):
                return None
            name = node.input[0]
        return (self.ranges or {}).get(name)

    def _has_weights(self, node: onnx.NodeProto) -> bool:
        weight = self.constants.get(node.input[1])
        if weight is None or weight.name not in self.floats:
            return False
        attributes = {a.name: a for a in node.attribute}
        if node.op_type == "Gemm":
            # Engines have 8-bit kernels for a plain x @ W + b only.
            plain = all(attributes[n].f == 1.0 for n in ("alpha", "beta") if n in attributes)
            return plain and not ("transA" in attributes and attributes["transA"].i)
        if node.op_type == "ConvTranspose":
            return "group" not in attributes or attributes["group"].i == 1
        # A matrix for each head has no kernel with a scale for each channel: ONNX Runtime (1.32)
        # fails, and with one scale for all OpenVINO (2026.4) took 1.4 times as long as in float.
        return len(weight.dims) == 2 if node.op_type == "MatMul" else True

    def _visit_add(self, node: onnx.NodeProto) -> None:
        if self.fixed & set(node.input) or not self.integer.intersection(node.input):
            return
        operands = set(node.input)
        if self.sum_in_accumulator:
            # The sum is fused into the last convolution before it.
            fused = [n for n in node.input if self._from_convolution(n) and self.uses[n] == 1]
            if fused:
                operands.discard(max(fused, key=lambda n: self.place_of[n]))
        self.needed.update(operands)
        self._produce(node, rounded=True)

    def _from_convolution(self, name: str) -> bool:
        return name in self.producer and self.producer[name].op_type in CONVOLUTIONS

    def _produce(self, node: onnx.NodeProto, *, rounded: bool) -> None:
        """Mark a result of 8-bit arithmetic, and if `rounded`, quantize it or its activation."""
        result = node.output[0]
        self.integer.add(result)
        if rounded and not self.sum_in_accumulator:
            fuses = result in self.activation and self.uses[result] == 1
            self.needed.add(self.activation[result] if fuses else result)
            if fuses:
                self.cut.add(self.activation[result])

    def _moves(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "Pad":
            mode = next((a.s for a in node.attribute if a.name == "mode"), b"constant")
            if mode != b"constant":  # which ONNX Runtime does faster before it rounds
                return self.sum_in_accumulator
            value = node.input[2] if len(node.input) > 2 else ""
            return not value or self._is_zero(value)
        if node.op_type == "MaxPool":
            return len(node.output) == 1
        if node.op_type == "Resize":
            return all(a.s == b"nearest" for a in node.attribute if a.name == "mode")
        return node.op_type in MOVES

    def _is_zero(self, name: str) -> bool:
        from onnx import numpy_helper

        constant = self.constants.get(name)
        return constant is not None and not numpy_helper.to_array(constant).any()

    def placement(self, ranges: Mapping[str, Range] | None) -> Placement:
        """Return the placement: every needed tensor is traced back to where its values arise."""
        carried: dict[str, tuple[str, ...]] = {}
        waiting = list(self.needed)
        while waiting:
            name = waiting.pop()
            node = self.producer.get(name)
            if name not in carried and name not in self.parts and node is not None:
                if node.op_type == "Concat":
                    carried[name] = tuple(node.input)
                elif self._moves(node):
                    carried[name] = (node.input[0],)
                waiting += carried.get(name, ())
        order = [value.name for value in self.graph.input]
        order += [tensor.name for tensor in self.graph.initializer]
        order += [name for node in self.graph.node for name in node.output]
        sources = self.needed.union(*carried.values()).difference(carried)
        groups, carriers, joined = shared(
            [name for name in order if name in carried or name in sources],
            carried,
            self._readers(),
            ranges,
            self.cut,
        )
        if ranges is None:
            groups += tuple((name,) for name in self._taken_out(carried))
        return Placement(groups, carriers, tuple(self.weighted), joined)

    def _taken_out(self, carried: Mapping[str, Sequence[str]]) -> list[str]:
        """Return what is taken out of concatenations, which may get scales of its own."""
        joined = {name for name, parts in carried.items() if len(parts) > 1}
        found = []
        for node in self.graph.node:  # in which whatever is carried comes first
            if joined.isdisjoint(node.input):
                continue
            if node.op_type == "Add":
                joined.update(node.output)
            elif self._moves(node):
                taken = [name for name in node.output if name in carried]
                joined.update(taken)
                found += taken if node.op_type in TAKE_PARTS else []
        return found

    def _readers(self) -> Readers:
        """Return what reads each tensor for its values, the graph's outputs included."""
        readers: Readers = {}
        for node in self.graph.node:
            if node.op_type not in ("Shape", "Size"):
                for name in names_read_by(node):
                    readers.setdefault(name, set()).add(node.output[0])
        for value in self.graph.output:
            readers.setdefault(value.name, set()).add("")
        return readers
