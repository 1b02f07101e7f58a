"""Explicit quantization: `QuantizeLinear` and `DequantizeLinear` pairs written into a graph.

Affine for activations, symmetric and per output channel for weights (Jacob et al. 2018,
arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from perfsuite.export.bodies import names_made, names_read, names_read_by, unused_name
from perfsuite.passes.int8.moved import moved_as_integers, parts_of
from perfsuite.passes.int8.placement import ACTIVATIONS, CONVOLUTIONS, channel_axis
from perfsuite.passes.int8.sharing import Placement, Range

if TYPE_CHECKING:
    import onnx

# Scales below it are denormals, of which engines make zeros, infinities, or no kernel at all.
_LEAST_SCALE = np.finfo(np.float32).tiny
# Of a layer's largest weight: channels that are less, and would have such a scale, count as zeros.
_NOTHING = 1e-6
_LARGEST_BIAS = 2.0**30  # half of the range of int32; the other half is for the sum of products


class Scheme(msgspec.Struct, frozen=True):
    """What the target decides.

    `signed`: activations are int8 with zero point 0, else uint8. `weight_limit`: the greatest
    absolute value of an 8-bit weight, 127 or 63. `sum_in_accumulator`: the engine adds a shortcut
    to a convolution's result before it rounds, and finds by itself what carries 8-bit values.
    `float_operators`: it has no 8-bit kernels for these. `pairs_before_layers`: what carries 8-bit
    values to a layer is rounded once more, in the same scale.
    """

    signed: bool
    weight_limit: int
    sum_in_accumulator: bool
    float_operators: tuple[str, ...] = ()
    pairs_before_layers: bool = False


def activation_parameters(low: float, high: float, *, signed: bool) -> tuple[np.ndarray, ...]:
    """Return the scale (float32) and the zero point (uint8, or int8 and 0 if `signed`).

    Zero is represented exactly, because convolutions pad with it. The scale of a tensor that is
    always zero is 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(_step(low, high, signed=signed)) or np.float32(1)
    if signed:
        return np.asarray(scale), np.asarray(0, np.int8)
    return np.asarray(scale), np.asarray(np.rint(-low / scale), np.uint8)


def has_scale(low: float, high: float, *, signed: bool) -> bool:
    """Tell whether 8 bits can hold values of such a range: zeros, or not too small for a scale."""
    step = np.float32(_step(min(low, 0.0), max(high, 0.0), signed=signed))
    return bool(low == high == 0.0 or step >= _LEAST_SCALE)


def _step(low: float, high: float, *, signed: bool) -> float:
    return max(-low, high) / 127 if signed else (high - low) / 255


def have_scales(weights: np.ndarray, axis: int, limit: int) -> bool:
    """Tell whether int8 can hold the weights of a layer, whose output channels are on `axis`.

    Channels too small for a scale would become zeros, which are nothing beside far larger ones.
    """
    largest = _largest(weights, axis)
    lost = largest[(largest / limit).astype(np.float32) < _LEAST_SCALE]
    return bool(lost.max(initial=0.0) <= _NOTHING * largest.max(initial=0.0))


def _largest(weights: np.ndarray, axis: int) -> np.ndarray:
    """Return the largest absolute value for each index of `axis`."""
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest: np.ndarray = np.abs(weights).max(axis=others, initial=0.0)
    return largest


def quantized_weights(
    weights: np.ndarray, axis: int, limit: int, least_scale: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 weights within +-`limit` and one float32 scale for each index of `axis`.

    No scale is below `least_scale`, one value for each channel or one for all. Channels of zeros,
    and of values that no scale can be made for, have the scale 1.
    """
    scales = np.maximum(_largest(weights, axis) / limit, least_scale).astype(np.float32)
    scales[scales < _LEAST_SCALE] = 1
    along = [1] * weights.ndim
    along[axis] = -1
    return np.rint(weights / scales.reshape(along)).astype(np.int8), scales


def insert(
    graph: onnx.GraphProto, placement: Placement, ranges: Mapping[str, Range], scheme: Scheme
) -> None:
    """Quantize the placed tensors and weights of `graph` in place; biases stay as they are.

    `ranges` holds every tensor of the placement's groups but for those that it has joined.
    """
    _Writer(graph, placement, {**ranges, **placement.joined}, scheme).write()


class _Writer:
    """Rewrites a graph's nodes; `dequantized` maps tensors to the names that replace them."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        placement: Placement,
        ranges: Mapping[str, Range],
        scheme: Scheme,
    ) -> None:
        self.graph, self.placement, self.scheme = graph, placement, scheme
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.reader = {name: node for node in reversed(graph.node) for name in node.input}
        self.taken = names_made(graph)
        self.stored: dict[tuple[str, int], list[str]] = {}  # by the weights' name and axis
        self.copies: dict[tuple[object, ...], list[str]] = {}  # by what they hold
        self.outputs = {value.name for value in graph.output}
        self.convolved: set[str] = set()  # results of convolutions with 8-bit weights
        self.nodes: list[onnx.NodeProto] = []
        self.dequantized: dict[str, str] = {}
        self.scales: dict[str, float] = {}
        self.points: dict[str, tuple[str, str]] = {}  # names of scale and zero point
        self.integers: dict[str, str] = {}  # names of the integers of what is rounded
        shifted: set[int] = set()
        for index, group in enumerate(placement.groups):
            low, high = min(ranges[t][0] for t in group), max(ranges[t][1] for t in group)
            scale, zero = activation_parameters(low, high, signed=scheme.signed)
            names = self._constant(group[0], "scale", scale), self._constant(group[0], "zero", zero)
            self.points.update(dict.fromkeys(group, names))
            shifted.update([index] * bool(zero))
            self.scales.update(dict.fromkeys(group, float(scale)))
        layers = {
            node.input[0]
            for node in graph.node
            if node.output and node.output[0] in placement.weighted
        }
        for carrier, index in placement.carriers.items():
            source = placement.groups[index][0]
            self.scales[carrier] = self.scales[source]
            # Engines that sum in the accumulator keep 8-bit values through such operators by
            # themselves; a second pair would only hide patterns such as a channel shuffle.
            wanted = scheme.pairs_before_layers and carrier in layers
            if wanted or not scheme.sum_in_accumulator:
                self.points[carrier] = self.points[source]
        moved = moved_as_integers(graph, placement, shifted) if scheme.sum_in_accumulator else set()
        self.moved = {name: placement.groups[placement.carriers[name]][0] for name in moved}

    def write(self) -> None:
        for name in (*(value.name for value in self.graph.input), *self.constants):
            if name in self.points and name in self.reader:
                self._quantize(name, self.reader[name])
        for node in self.graph.node:
            copy = type(node)()
            copy.CopyFrom(node)
            if node.output[0] in self.moved:
                self._move_integers(copy)
                continue
            weighted = node.output[0] in self.placement.weighted
            if weighted:
                self._quantize_weights(copy)
            copy.input[:] = [self.dequantized.get(name, name) for name in copy.input]
            self.nodes.append(copy)
            if weighted and node.op_type == "Gemm":
                channels = self.constants[node.input[1]].dims[channel_axis(node)]
                self._split_bias(copy, channels)
            if weighted and node.op_type in CONVOLUTIONS:
                self.convolved.add(node.output[0])
            for place, name in enumerate(node.output):
                if name in self.points and self._is_rounded_output(node, name):
                    copy.output[place] = self._quantize_output(name, node)
                elif name in self.points:
                    self._quantize(name, node)
        del self.graph.node[:]
        self.graph.node.extend(self._read_nodes())
        self._drop_unused()

    def _quantize(self, name: str, owner: onnx.NodeProto) -> None:
        scale, zero = self.points[name]
        rounded = self._node("QuantizeLinear", [name, scale, zero], owner)
        self.dequantized[name] = self._node("DequantizeLinear", [rounded, scale, zero], owner)
        self.integers[name] = rounded

    def _move_integers(self, node: onnx.NodeProto) -> None:
        """Write a node that moves integers, and what they stand for by the names of its results."""
        scale, zero = self.points[self.moved[node.output[0]]]
        parts = [self.integers[name] for name in parts_of(node)]
        others = list(node.input)[len(parts) :]
        if node.op_type == "Pad":
            others[1:2] = [zero]
        node.input[:] = [*parts, *others]
        self.nodes.append(node)
        for place, name in enumerate(node.output):
            moved = unused_name(f"{name}_integers", self.taken)
            node.output[place] = self.integers[name] = moved
            self._node("DequantizeLinear", [moved, scale, zero], node, output=name)

    def _read_nodes(self) -> list[onnx.NodeProto]:
        """Return the nodes without those that say what integers stand for if nothing reads that."""
        read = {*self.outputs}.union(*(names_read_by(node) for node in self.nodes))
        return [
            node
            for node in self.nodes
            if node.op_type != "DequantizeLinear" or node.output[0] in read
        ]

    def _is_rounded_output(self, node: onnx.NodeProto, name: str) -> bool:
        """Tell whether an output of the graph is rounded, for the convolution that gives it.

        An engine that rounds all values has no kernel for one with a float result.
        """
        fused = node.op_type in ACTIVATIONS and node.input[0] not in self.points
        convolution = node.input[0] if fused and node.input else name
        return (
            name in self.outputs
            and convolution in self.convolved
            and not self.scheme.sum_in_accumulator
        )

    def _quantize_output(self, name: str, owner: onnx.NodeProto) -> str:
        """Round an output of the graph; return the name that its values have before.

        What reads it has a pair of its own, since engines fuse none that gives an output.
        """
        exact, (scale, zero) = unused_name(f"{name}_exact", self.taken), self.points[name]
        rounded = self._node("QuantizeLinear", [exact, scale, zero], owner)
        self._node("DequantizeLinear", [rounded, scale, zero], owner, output=name)
        if name in self.reader:
            self.dequantized[name] = self._node("DequantizeLinear", [rounded, scale, zero], owner)
        return exact

    def _quantize_weights(self, node: onnx.NodeProto) -> None:
        key = node.input[1], channel_axis(node)
        if key not in self.stored:
            self.stored[key] = self._stored(*key)
        node.input[1] = self._node("DequantizeLinear", self.stored[key], node, axis=key[1])

    def _stored(self, name: str, axis: int) -> list[str]:
        """Return the names of 8-bit weights, scales and zero points, once for all their readers."""
        from onnx import numpy_helper

        weights = numpy_helper.to_array(self.constants[name])
        least = self._least_scales(name, axis)
        rounded, scales = quantized_weights(weights, axis, self.scheme.weight_limit, least)
        # Layers that share weights may have copies of them, after normalizations were folded.
        found = axis, rounded.shape, rounded.tobytes(), scales.tobytes()
        if found not in self.copies:
            self.copies[found] = [
                self._constant(name, "int8", rounded),
                self._constant(name, "scale", scales),
                self._constant(name, "zero", np.zeros(len(scales), np.int8)),
            ]
        return self.copies[found]

    def _least_scales(self, name: str, axis: int) -> np.ndarray | float:
        """Return the least scales of weights, by channel, with which all readers' biases fit.

        Engines round a bias to int32 in units of the product of both scales. It must fit even where
        a channel's weights are nearly zero and would have a tiny scale.
        """
        from onnx import numpy_helper

        least: np.ndarray | float = 0.0
        for node in self.graph.node:
            weighted = node.output and node.output[0] in self.placement.weighted
            if not weighted or (node.input[1], channel_axis(node)) != (name, axis):
                continue
            bias = self.constants.get(node.input[2]) if len(node.input) > 2 else None
            if bias is not None:
                units = self.scales[node.input[0]] * _LARGEST_BIAS
                largest = np.atleast_1d(np.abs(numpy_helper.to_array(bias)))
                needed = largest.reshape(-1, largest.shape[-1]).max(axis=0) / units
                least = np.maximum(least, needed)
        return least

    def _split_bias(self, node: onnx.NodeProto, channels: int) -> None:
        """Add the bias, zero if there is none, in a node of its own if the result stays float.

        ONNX Runtime has a kernel for an 8-bit product with a float result, but none that adds a
        float bias, which a layer without one gets when its mean error is taken off.
        """
        result = end = node.output[0]
        follower = self.reader.get(result)
        if follower is not None and follower.op_type in ACTIVATIONS:
            end = follower.output[0]
        if self.scheme.sum_in_accumulator or end in self.points:
            return
        bias = node.input.pop() if len(node.input) == 3 else ""
        if not bias:
            bias = self._constant(result, "bias", np.zeros(channels, np.float32))
        node.output[0] = unused_name(f"{result}_without_bias", self.taken)
        self._node("Add", [node.output[0], bias], node, output=result)

    def _node(
        self,
        operator: str,
        inputs: list[str],
        owner: onnx.NodeProto,
        output: str = "",
        **attributes: int,
    ) -> str:
        """Append a node with the scope and metadata of `owner`; return the name of its output."""
        from onnx import helper

        scope = owner.name.rpartition("/")[0]
        name = unused_name(
            f"{scope}/{operator}" if scope else f"{owner.name or owner.output[0]}_{operator}",
            self.taken,
        )
        output = output or unused_name(f"{name}_output_0", self.taken)
        node = helper.make_node(operator, inputs, [output], name, **attributes)
        node.metadata_props.extend(owner.metadata_props)
        self.nodes.append(node)
        return output

    def _constant(self, base: str, what: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = unused_name(f"{base}_{what}", self.taken)
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _drop_unused(self) -> None:
        used = {value.name for value in self.graph.output} | names_read(self.graph)
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        del self.graph.value_info[:]  # engines infer shapes themselves
