"""Channels in whole vectors, for the 8-bit convolutions of ONNX Runtime.

Its depthwise convolutions compute sixteen channels at once, and those that are left over one by
one: one of 3x3 and 58 channels takes 2.7 times as long as with 64 (version 1.32, AVX-512). Others
are slow where the number of channels is no multiple of four. So channels of zeros are added where
nothing but convolutions and what computes each channel by itself would see them. No answer changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from perfsuite.export.bodies import names_made, names_read, names_read_by, unused_name

if TYPE_CHECKING:
    import onnx

_AT_ONCE, _DENSE = 16, 4
# What is saved, in multiply-accumulates of a dense convolution: for each one of a depthwise
# convolution that is left over, and for each pixel of a dense one.
_LEFT_OVER, _UNEVEN = 100, 3000

# One result, each channel by itself, finite for zeros; other inputs are constants.
_EACH_CHANNEL = (
    "AveragePool", "Clip", "DequantizeLinear", "Elu", "Erf", "Gelu", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mish",
    "QuantizeLinear", "Relu", "Resize", "Sigmoid", "Softplus", "Tanh",
)  # fmt: skip
_PAIRS = ("Add", "Mul", "Sub")


def with_whole_vectors(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a quantized graph that computes channels in whole vectors.

    It is `model` itself where there are none to add. Names, inputs and outputs stay.
    """
    made = type(model)()
    made.CopyFrom(model)
    filling = _Filling(made.graph, _sides(model))
    return made if filling.done() else model


@dataclass
class _Group:
    """Tensors with the same channels: the convolutions that give, keep and read these."""

    givers: list[onnx.NodeProto] = field(default_factory=list)
    depthwise: list[onnx.NodeProto] = field(default_factory=list)
    readers: list[onnx.NodeProto] = field(default_factory=list)


class _Weights(NamedTuple):
    """The constant weights of a convolution, and the node that dequantizes them, if one does."""

    tensor: onnx.TensorProto
    dequantizes: onnx.NodeProto | None

    @property
    def taps(self) -> int:
        return prod(self.tensor.dims[2:])


class _Filling:
    """Finds the channels to add in a graph, and adds them."""

    def __init__(self, graph: onnx.GraphProto, sides: dict[str, tuple[int, ...]]) -> None:
        self.graph, self.sides = graph, sides
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}
        self.taken = names_made(graph)
        self.parent: dict[str, str] = {}
        self.groups: dict[str, _Group] = defaultdict(_Group)
        self.filled: set[str] = set()  # results of nodes that dequantize weights
        self.fixed = {value.name for value in (*graph.input, *graph.output)}

    def done(self) -> bool:
        """Add the channels; return whether there are any."""
        for node in self.graph.node:
            self._visit(node)
        fixed = {self._root(name) for name in self.fixed}
        joined: dict[str, _Group] = defaultdict(_Group)
        for name, group in self.groups.items():
            one = joined[self._root(name)]
            one.givers += group.givers
            one.depthwise += group.depthwise
            one.readers += group.readers
        added: dict[str, int] = {}
        for root, group in joined.items():
            if root not in fixed:
                added[root] = self._missing(group)
        self._write({root: count for root, count in added.items() if count})
        return any(added.values())

    # -- which channels ---------------------------------------------------------------------

    def _visit(self, node: onnx.NodeProto) -> None:
        """Note which of a node's tensors have the same channels, and which must stay."""
        others = [name for name in node.input[1:] if name and name not in self.constants]
        weights = self._weights(node)
        if node.domain not in ("", "ai.onnx"):
            self._fix(node)
        elif weights is not None:
            self._convolve(node, weights)
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear") and self._is_of_weights(node):
            return
        elif node.op_type in _EACH_CHANNEL and not others and self._is_of_each(node):
            self._unite(node.input[0], node.output[0])
        elif node.op_type in _PAIRS:
            self._pair(node)
        elif node.op_type == "ReduceMean" and self._is_over_pixels(node):
            self._unite(node.input[0], node.output[0])
        else:
            self._fix(node)

    def _convolve(self, node: onnx.NodeProto, weights: _Weights) -> None:
        groups, sides = _group_of(node), weights.tensor.dims
        if groups == 1:
            self.groups[node.output[0]].givers.append(node)
            self.groups[node.input[0]].readers.append(node)
        elif groups == sides[0] and sides[1] == 1:
            self._unite(node.input[0], node.output[0])
            self.groups[node.output[0]].depthwise.append(node)
        else:
            self._fix(node)

    def _pair(self, node: onnx.NodeProto) -> None:
        free = [name for name in node.input if name not in self.constants]
        known = [self.constants[name] for name in node.input if name in self.constants]
        if free and all(prod(tensor.dims) == 1 and len(tensor.dims) <= 4 for tensor in known):
            for name in free:
                self._unite(name, node.output[0])
        else:
            self._fix(node)

    def _is_of_each(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node has one scale for all channels, and one result."""
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return all(prod(self.constants[name].dims) == 1 for name in node.input[1:] if name)
        if node.op_type == "Resize" and len(node.input) > 3:
            return False
        return len(node.output) == 1

    def _is_over_pixels(self, node: onnx.NodeProto) -> bool:
        """Tell whether a mean is that of each channel, whose axis stays."""
        axes = _attribute(node, "axes", None)
        if axes is None and len(node.input) > 1:
            axes = self._array(node.input[1])
        kept = _attribute(node, "keepdims", 1) == 1
        return kept and axes is not None and {int(axis) for axis in axes} in ({2, 3}, {-1, -2})

    def _is_of_weights(self, node: onnx.NodeProto) -> bool:
        return node.input[0] in self.constants

    def _weights(self, node: onnx.NodeProto) -> _Weights | None:
        """Return the weights of a convolution whose weights and biases are constants."""
        if node.op_type != "Conv" or any(name not in self.constants for name in node.input[2:]):
            return None
        tensor, above = self.constants.get(node.input[1]), self.producer.get(node.input[1])
        if tensor is not None:
            return _Weights(tensor, None)
        if above is None or above.op_type != "DequantizeLinear":
            return None
        if any(name not in self.constants for name in above.input):
            return None
        along = _attribute(above, "axis", 1) == 0 and len(self.constants[above.input[1]].dims) == 1
        return _Weights(self.constants[above.input[0]], above) if along else None

    def _missing(self, group: _Group) -> int:
        """Return how many channels a group lacks; 0 where adding them does not pay."""
        given = [*group.givers, *group.depthwise]
        counts = {self._known(node).tensor.dims[0] for node in given}
        counts |= {self._known(node).tensor.dims[1] for node in group.readers}
        if not group.givers or not group.readers or len(counts) != 1:
            return 0
        (count,) = counts
        missing = -count % (_AT_ONCE if group.depthwise else _DENSE)
        if group.depthwise:
            slow = [self._known(node).taps * self._pixels(node) for node in group.depthwise]
            saved = _LEFT_OVER * (count % _AT_ONCE) * sum(slow)
        else:
            saved = _UNEVEN * sum(map(self._pixels, (*group.givers, *group.readers)))
        beside = [(node, 1) for node in group.givers] + [(node, 0) for node in group.readers]
        added = sum(
            self._pixels(node) * self._known(node).tensor.dims[axis] * self._known(node).taps
            for node, axis in beside
        )
        return missing if saved > missing * added else 0

    def _pixels(self, node: onnx.NodeProto) -> int:
        """Return the pixels of a convolution's result, as far as they are known."""
        return prod(side or 1 for side in self.sides.get(node.output[0], ())[2:])

    def _known(self, node: onnx.NodeProto) -> _Weights:
        found = self._weights(node)
        if found is None:
            raise ValueError(f"{node.name} has no constant weights")
        return found

    def _fix(self, node: onnx.NodeProto) -> None:
        self.fixed.update(names_read_by(node), node.output)

    def _unite(self, one: str, other: str) -> None:
        self.parent[self._root(one)] = self._root(other)

    def _root(self, name: str) -> str:
        while (above := self.parent.get(name, name)) != name:
            name = above
        return name

    # -- more channels ----------------------------------------------------------------------

    def _write(self, added: dict[str, int]) -> None:
        more = {}
        for node in self.graph.node:
            if self._weights(node) is not None:
                read = added.get(self._root(node.input[0]), 0) if _group_of(node) == 1 else 0
                more[node.output[0]] = read, added.get(self._root(node.output[0]), 0)
        alike = defaultdict[str, set[tuple[int, int]]](set)  # what readers of each tensor get
        for value in self.graph.output:
            alike[value.name].add((0, 0))
        for node in self.graph.node:
            for name in names_read_by(node):
                alike[name].add(more.get(node.output[0], (0, 0)))
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.node:
            read, gave = more.get(node.output[0], (0, 0))
            if read or gave:
                nodes += self._filled(node, read, gave, shared=len(alike[node.input[1]]) > 1)
            nodes.append(node)
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(kept)
        self._drop_unused(added)

    def _filled(
        self, node: onnx.NodeProto, read: int, gave: int, *, shared: bool
    ) -> list[onnx.NodeProto]:
        """Let a convolution have more channels; return what is written before it.

        That is a node that dequantizes its weights, if others read them as they were. It has no
        name, as there is none in the graph that was given.
        """
        tensor, above = self._known(node)
        if _group_of(node) > 1:
            for attribute in node.attribute:
                if attribute.name == "group":
                    attribute.i += gave
        if len(node.input) > 2:
            node.input[2] = self._longer(node.input[2], gave, 0.0)
        if above is None:
            node.input[1] = self._longer(tensor.name, gave, 0.0, read)
            return []
        given = [self._longer(tensor.name, gave, 0.0, read)]
        given += [
            self._longer(name, gave, value)
            for name, value in zip(above.input[1:], (1.0, 0.0), strict=False)
        ]
        if not shared:
            if above.output[0] not in self.filled:
                self.filled.add(above.output[0])
                above.input[:] = given
            return []
        copy = type(above)()
        copy.CopyFrom(above)
        copy.name, copy.input[:] = "", given
        copy.output[0] = node.input[1] = unused_name(above.output[0], self.taken)
        return [copy]

    def _longer(self, name: str, first: int, value: float, second: int = 0) -> str:
        """Return the name of a constant with more of a value at the end of its first axes."""
        from onnx import numpy_helper

        array = self._array(name)
        if not first and not second:
            return name
        more = [(0, first), (0, second), *[(0, 0)] * (array.ndim - 2)][: array.ndim]
        made = np.pad(array, more, constant_values=np.asarray(value, array.dtype))
        own = unused_name(name, self.taken)
        self.graph.initializer.append(numpy_helper.from_array(made, own))
        self.constants[own] = self.graph.initializer[-1]
        return own

    def _drop_unused(self, added: dict[str, int]) -> None:
        used = names_read(self.graph) | {value.name for value in self.graph.output}
        tensors = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(tensors)
        stale = added.keys() | self.filled
        known = [one for one in self.graph.value_info if self._root(one.name) not in stale]
        del self.graph.value_info[:]
        self.graph.value_info.extend(known)

    def _array(self, name: str) -> Any:
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


def _sides(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the sides of tensors as far as they are known; 0 for others."""
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model).graph
    values: Iterable[Any] = (*inferred.input, *inferred.value_info, *inferred.output)
    return {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in values
    }


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    from onnx import helper

    found = (helper.get_attribute_value(one) for one in node.attribute if one.name == name)
    return next(found, default)


def _group_of(node: onnx.NodeProto) -> int:
    return int(_attribute(node, "group", 1))
