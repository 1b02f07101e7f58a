"""What a depthwise convolution reads is scaled channel by channel, where one scale costs too much.

Each channel of its result comes from one channel of its input. If these have very different ranges,
and the smallest ones the largest weights, a scale for all of them drowns the small ones in rounding
errors. So each channel is divided by a number and the convolution's weights are multiplied by it
(Nagel et al. 2019, arXiv:1906.04721, section 4.1). The layer before takes the division into its
weights where only a ReLU or the like is between; else a `Mul` divides. Where the engine rounds that
layer's result too, before an activation, the same is done there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.export.bodies import bodies, names_made, names_read, unused_name
from perfsuite.passes.int8.channel_ranges import Channels, channels_of
from perfsuite.passes.int8.channel_routes import is_depthwise
from perfsuite.passes.int8.flattened import Readers
from perfsuite.passes.int8.qdq import Scheme
from perfsuite.passes.int8.sharing import Range

if TYPE_CHECKING:
    import onnx

_NOISE = 0.01  # of the result's variance: rounding errors below that are left as they are
_GAIN = 4.0  # by which they must become less to be worth a node
_LEAST = 2.0**-10  # of the largest scale of a tensor: a channel of zeros needs none
_STEPS = 255
# Activations of which a multiple is the activation of the multiple.
_HOMOGENEOUS = ("LeakyRelu", "PRelu", "Relu")
# Those that ONNX Runtime fuses into the rounding of the layer before.
_FUSED = ("Clip", "Relu")
_ELEMENTWISE = (
    *_HOMOGENEOUS, "Add", "Clip", "Div", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "Mish",
    "Mul", "Sigmoid", "Softplus", "Tanh",
)  # fmt: skip


class Equalized(NamedTuple):
    """A graph that answers as before, and the `limits` of what is to be told apart in a tensor."""

    model: onnx.ModelProto
    limits: dict[str, Range]


def equalized(
    model: onnx.ModelProto, scheme: Scheme, stays: Collection[str], batches: Iterable[Inputs]
) -> Equalized:
    """Return a copy of `model` with scaled channels, or itself if nothing is worth it.

    The layers whose first results are in `stays` are left as they are. Names stay, but results
    within the graph may be scaled. `batches` are not read if there is no depthwise convolution.
    """
    graph = _Graph(model.graph)
    found = [one for node in model.graph.node if (one := graph.candidate(node, stays)) is not None]
    if not found:
        return Equalized(model, {})
    axes = len(graph.constants[found[0].node.input[1]].dims)
    found = [one for one in found if len(graph.constants[one.node.input[1]].dims) == axes]
    seen = channels_of(model, [name for one in found for name in one.tensors], axes, batches)
    made = type(model)()
    made.CopyFrom(model)
    writer = _Writer(made.graph)
    for one in found:
        if all(name in seen for name in one.tensors):
            _equalize(one, seen, scheme, graph, writer)
    if not writer.changed:
        return Equalized(model, {})
    writer.finish()
    return Equalized(made, writer.limits)


class _Candidate(NamedTuple):
    """A depthwise convolution, what it reads, and what gives that.

    `layer` is a convolution whose result reaches it through the operators `between` alone.
    """

    node: onnx.NodeProto
    layer: onnx.NodeProto | None
    between: tuple[str, ...]

    @property
    def tensors(self) -> list[str]:
        """Return what is read and made by it, and what the layer before makes."""
        names = [self.node.input[0], self.node.output[0]]
        return names if self.layer is None else [*names, self.layer.output[0]]


class _Graph:
    """Who makes and who reads each tensor of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)
        self.kept = {value.name for value in graph.output}
        for node in graph.node:
            for body in bodies(node):
                self.kept |= names_read(body)
        self.seen = Readers(graph).seen

    def array(self, name: str) -> np.ndarray:
        from onnx import numpy_helper

        values: np.ndarray = numpy_helper.to_array(self.constants[name])
        return values

    def candidate(self, node: onnx.NodeProto, stays: Collection[str]) -> _Candidate | None:
        """Return a depthwise convolution that alone reads what another node makes."""
        if node.op_type != "Conv" or not self._has_constants(node) or node.output[0] in stays:
            return None
        read = node.input[0]
        alone = len(self.readers[read]) == 1 and read not in self.kept
        if not is_depthwise(node, self.constants) or not alone or read not in self.producer:
            return None
        between: dict[str, onnx.NodeProto] = {}
        sources: dict[str, None] = {}
        waiting = [read]
        while waiting:
            name = waiting.pop()
            made_by = self.producer.get(name)
            if made_by is None or made_by.op_type not in _ELEMENTWISE or made_by.domain:
                sources[name] = None
            elif name not in between:
                between[name] = made_by
                waiting += [one for one in made_by.input if one and one not in self.constants]
        inner = {made_by.output[0] for made_by in between.values()}
        source = next(iter(sources), "")
        layer = self.producer.get(source)
        used = [reader for name in (source, *inner - {read}) for reader in self.readers[name]]
        closed = all(one.output[0] in inner or one is node for one in used)
        apart = self.kept.isdisjoint((source, *inner))
        if len(sources) > 1 or layer is None or layer.op_type != "Conv" or not closed or not apart:
            return _Candidate(node, None, ())
        if not self._has_constants(layer) or layer.output[0] in stays:
            return _Candidate(node, None, ())
        return _Candidate(node, layer, tuple(one.op_type for one in between.values()))

    def _has_constants(self, node: onnx.NodeProto) -> bool:
        from onnx import TensorProto

        named = [self.constants.get(name) for name in node.input[1:] if name]
        return all(one is not None and one.data_type == TensorProto.FLOAT for one in named)


def _equalize(
    one: _Candidate, seen: dict[str, Channels], scheme: Scheme, graph: _Graph, writer: _Writer
) -> None:
    """Scale what a depthwise convolution reads, and what the layer before makes, if it pays."""
    read, result = one.node.input[0], one.node.output[0]
    weights = graph.array(one.node.input[1]).astype(np.float64)
    energy = np.square(weights).reshape(len(weights), -1).sum(axis=1)
    signal = float(seen[result].variance.sum())
    scales = _scales(seen[read], energy, signal, scheme)
    if one.layer is not None and set(one.between) <= {*_HOMOGENEOUS}:
        if scales is not None:
            writer.multiply(one.layer, 1.0 / scales.each, bias=True)
            writer.multiply(one.node, scales.each, bias=False)
        return
    # A fused activation is rounded as it is, before anything could be multiplied.
    fused = not scheme.sum_in_accumulator and len(one.between) == 1 and one.between[0] in _FUSED
    if scales is not None and not fused:
        writer.scale_before(one.node, 1.0 / scales.each)
        writer.multiply(one.node, scales.each, bias=False)
    if one.layer is not None and not scheme.sum_in_accumulator and not fused:
        made = one.layer.output[0]
        low, high = graph.seen(made)
        scales = _scales(seen[made].within(low, high), energy, signal, scheme)
        if scales is not None:
            writer.multiply(one.layer, 1.0 / scales.each, bias=True)
            writer.scale_behind(one.layer, scales.each)
            writer.limits[made] = scales.span


class _Scales(NamedTuple):
    """What each channel is divided by, and what all channels then span."""

    each: np.ndarray
    span: Range


def _scales(found: Channels, energy: np.ndarray, signal: float, scheme: Scheme) -> _Scales | None:
    """Return the scales of channels with which rounding errors are least; None if it does not pay.

    `energy` are the squared weights that read each channel, `signal` the variance of what they
    make. All channels share a zero point, because padding has one value.
    """
    low, high = np.minimum(found.low, 0.0), np.maximum(found.high, 0.0)
    zeros = [_STEPS // 2] if scheme.signed else range(_STEPS + 1)
    steps = np.stack([_steps(low, high, zero) for zero in zeros])
    noise = (np.square(steps) * energy).sum(axis=1) / 12.0
    best = int(noise.argmin())
    together = _steps(low.min(keepdims=True), high.max(keepdims=True), zeros[0])
    if not scheme.signed:
        together = (high.max(keepdims=True) - low.min(keepdims=True)) / _STEPS
    before = float(np.square(together[0]) * energy.sum() / 12.0)
    if before <= _NOISE * signal or before <= _GAIN * noise[best]:
        return None
    step = float(steps[best].max())
    each = np.maximum(steps[best] / step, _LEAST)
    return _Scales(each, (float((low / each).min()), float((high / each).max())))


def _steps(low: np.ndarray, high: np.ndarray, zero: int) -> np.ndarray:
    """Return the steps by which values from `low` to `high` are rounded, if zero is at `zero`."""
    below = np.where(low < 0.0, -low / zero if zero else np.inf, 0.0)
    above = np.where(high > 0.0, high / (_STEPS - zero) if zero < _STEPS else np.inf, 0.0)
    return np.maximum(below, above)


@dataclass
class _Writer:
    """Changes a copy of the graph; `limits` are those of `Equalized`."""

    graph: onnx.GraphProto
    limits: dict[str, Range] = field(default_factory=dict)
    before: dict[str, onnx.NodeProto] = field(default_factory=dict)  # by the result of a layer
    behind: dict[str, onnx.NodeProto] = field(default_factory=dict)
    changed: bool = False

    def __post_init__(self) -> None:
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.made = {node.output[0]: node for node in self.graph.node if node.output}
        self.taken = names_made(self.graph)

    def multiply(self, layer: onnx.NodeProto, by: np.ndarray, *, bias: bool) -> None:
        """Multiply the weights of each channel of a layer's result, and its `bias` too if asked."""
        from onnx import numpy_helper

        node = self.made[layer.output[0]]
        for place in range(1, len(node.input) if bias else 2):
            if node.input[place]:
                array = numpy_helper.to_array(self.constants[node.input[place]])
                along = by.reshape(-1, *[1] * (array.ndim - 1))
                node.input[place] = self._constant(node.input[place], array * along)
        self.changed = True

    def scale_before(self, layer: onnx.NodeProto, by: np.ndarray) -> None:
        """Multiply each channel of what a layer reads."""
        node = self.made[layer.output[0]]
        scaled = unused_name(f"{node.input[0]}_scaled", self.taken)
        self.before[node.output[0]] = self._mul(node, node.input[0], scaled, by)
        node.input[0] = scaled

    def scale_behind(self, layer: onnx.NodeProto, by: np.ndarray) -> None:
        """Multiply each channel of what a layer makes, for all that read it."""
        node = self.made[layer.output[0]]
        given = node.output[0]
        scaled = unused_name(f"{given}_scaled", self.taken)
        for reader in self.graph.node:
            reader.input[:] = [scaled if name == given else name for name in reader.input]
        self.behind[given] = self._mul(node, given, scaled, by)

    def finish(self) -> None:
        """Put the new nodes where they belong."""
        nodes = []
        for node in self.graph.node:
            name = node.output[0] if node.output else ""
            nodes += [self.before[name]] if name in self.before else []
            nodes.append(node)
            nodes += [self.behind[name]] if name in self.behind else []
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def _mul(self, owner: onnx.NodeProto, read: str, made: str, by: np.ndarray) -> onnx.NodeProto:
        """Return a node that belongs to the module of another one."""
        from onnx import helper

        axes = len(self.constants[owner.input[1]].dims)
        factors = self._constant(f"{made}_factors", by.reshape(1, -1, *[1] * (axes - 2)))
        scope = owner.name.rpartition("/")[0] or owner.name or owner.output[0]
        node = helper.make_node(
            "Mul", [read, factors], [made], unused_name(f"{scope}/Mul", self.taken)
        )
        node.metadata_props.extend(owner.metadata_props)
        return node

    def _constant(self, base: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = unused_name(base, self.taken)
        tensor = numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
        self.graph.initializer.append(tensor)
        self.constants[name] = tensor
        return name
