"""Layers whose weights are float, kept so on ONNX Runtime.

Where a convolution or a `Gemm` reads dequantized values, ONNX Runtime rounds its float weights to
8 bits by itself, with one scale for all channels, so that it finds a kernel (its optimizer
`WeightBiasQuantization`, version 1.32). Who has left a layer in float has asked for something else.
The optimizer wants one scale for the values that are read: a layer gets them with as many equal
ones as there are channels, and stays as it is. Of a single channel one scale is one scale, so that
the layer gets the values through a `Sum` of themselves. The optimizer cannot be turned off, because
it also rounds the biases of layers with 8-bit weights, which their kernels need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.export.bodies import names_made, names_read_by, unused_name
from perfsuite.export.parts import part_of

if TYPE_CHECKING:
    import onnx


class _Read(NamedTuple):
    """What a layer reads: along `axis` it has so many `channels`."""

    axis: int
    channels: int


def with_float_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a quantized graph whose float layers ONNX Runtime leaves float.

    It is `model` itself where there are none. Names, inputs, outputs and answers stay.
    """
    if not any(True for _ in _float_layers(model.graph)):
        return model
    made = type(model)()
    made.CopyFrom(model)
    _spare(made.graph)
    return made


def _float_layers(graph: onnx.GraphProto) -> Iterator[tuple[int, onnx.NodeProto, _Read]]:
    """Yield the layers with float weights that read values of one scale: place, pair, and axis."""
    pairs = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    constants = {one.name: one for one in graph.initializer}
    for place, node in enumerate(graph.node):
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or node.input[0] not in pairs:
            continue
        pair, weights = pairs[node.input[0]], constants.get(node.input[1])
        read = None if weights is None else _read(node, weights)
        numbers = [constants.get(name) for name in pair.input[1:]]
        alone = all(one is not None and np.prod(one.dims) == 1 for one in numbers)
        if alone and read is not None:
            yield place, pair, read


def _read(node: onnx.NodeProto, weights: onnx.TensorProto) -> _Read | None:
    """Return what a layer with these weights reads; None for other weights than float32 ones."""
    from onnx import TensorProto

    if weights.data_type != TensorProto.FLOAT or len(weights.dims) < 2:
        return None
    numbers = {one.name: int(one.i) for one in node.attribute}
    if node.op_type == "Gemm":
        return _Read(1 - numbers.get("transA", 0), weights.dims[numbers.get("transB", 0)])
    if node.op_type == "ConvTranspose":
        return _Read(1, weights.dims[0])
    return _Read(1, weights.dims[1] * numbers.get("group", 1))


def _spare(graph: onnx.GraphProto) -> None:
    from onnx import helper, numpy_helper

    constants, taken = {one.name: one for one in graph.initializer}, names_made(graph)
    before: dict[int, onnx.NodeProto] = {}
    for place, pair, read in list(_float_layers(graph)):
        node, names = graph.node[place], list(pair.input)
        result = unused_name(f"{node.input[0]}_each", taken)
        name = unused_name(part_of(pair, "each"), taken)
        if read.channels == 1:
            before[place] = helper.make_node("Sum", [node.input[0]], [result], name)
            node.input[0] = result
            continue
        for index in range(1, len(names)):  # the scale, and the zero point if it has one
            whole = np.full(read.channels, numpy_helper.to_array(constants[names[index]]))
            names[index] = unused_name(f"{names[index]}_each", taken)
            graph.initializer.append(numpy_helper.from_array(whole, names[index]))
        before[place] = helper.make_node("DequantizeLinear", names, [result], name, axis=read.axis)
        node.input[0] = result
    nodes = [
        one for place, node in enumerate(graph.node) for one in (before.get(place), node) if one
    ]
    used = {one.name for one in graph.output}.union(*map(names_read_by, nodes))
    kept = [one for one in nodes if one.op_type != "DequantizeLinear" or one.output[0] in used]
    copies = [type(node)() for node in kept]
    for copy, node in zip(copies, kept, strict=True):
        copy.CopyFrom(node)
    del graph.node[:]
    graph.node.extend(copies)
