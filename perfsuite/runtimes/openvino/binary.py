"""Binary convolutions in OpenVINO: its own operator on bits, with their signs before it.

Its plug-in for processors packs signs into bits where a FakeQuantize of two levels gives 0 and 1,
and counts equal bits where a BinaryConvolution follows. What is padded by 0 is left out of sums.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perfsuite.export.binary_operator import DOMAIN, OPERATOR, is_binary_conv, unpack_weights

if TYPE_CHECKING:
    import onnx

Floats = npt.NDArray[np.float32]

_BYTE = 8  # channels: of a last byte that is not full the plug-in (2026.4) packs no signs
_SMALLEST = np.finfo(np.float32).tiny  # the smallest number that is no denormal


def without_function(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if it has binary convolutions, without the body of their operator.

    OpenVINO takes no functions; what `add_conversion` adds reads the operator itself.
    """
    if not any(is_binary_conv(node) for node in model.graph.node):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    del copy.functions[:]
    return copy


def add_conversion(core: Any) -> None:
    """Let `core` read binary convolutions of ONNX graphs."""
    from openvino.frontend.onnx import ConversionExtension

    core.add_extension(ConversionExtension(OPERATOR, DOMAIN, _converted))


def name_parts(model: Any, graph: onnx.ModelProto) -> None:
    """Name what a binary convolution became after its node: `path/BinaryConv/FakeQuantize`."""
    names = {node.name for node in graph.graph.node if is_binary_conv(node)}
    for layer in model.get_ordered_ops():
        name = str(layer.get_friendly_name())
        if name in names:
            seen: Counter[str] = Counter()
            for part in _unnamed(layer):
                kind = part.get_type_name()
                again = f"_{seen[kind]}" if seen[kind] else ""
                part.set_friendly_name(f"{name}/{kind}{again}")
                seen[kind] += 1


def _unnamed(layer: Any) -> list[Any]:
    """Return what was made for a layer alone: what comes before it, up to values with names."""
    found: dict[str, Any] = {}
    queue = [layer]
    while queue:
        for value in queue.pop().input_values():
            maker = value.get_node()
            named = any(port.get_names() for port in maker.outputs())
            if not named and maker.get_friendly_name() not in found:
                found[maker.get_friendly_name()] = maker
                queue.append(maker)
    return list(found.values())


def below(threshold: Floats) -> Floats:
    """Return limits that are exceeded by just the numbers that are at least `threshold`.

    They are the next smaller numbers, but no denormals, which processors may take for 0: for
    numbers that are no denormals, either, limits of 0 and of the smallest number do the same.
    """
    limits = np.nextafter(threshold, np.float32(-np.inf))
    tiny = np.abs(limits) < _SMALLEST
    instead = np.where(threshold > 0, np.float32(0), np.float32(-_SMALLEST))
    return np.where(tiny, instead, limits).astype(np.float32)


def _converted(node: Any) -> list[Any]:
    """Return the output of what computes a binary convolution."""
    from openvino import opset13 as op

    values, threshold, packed, scale = (node.get_input(place) for place in range(4))
    limits = below(_constant(threshold))
    weights = unpack_weights(_constant(packed), node.get_attribute("channels"))
    groups = node.get_attribute("group")
    inside, outside = weights.shape[1], len(weights) // groups
    parts = [values]
    if groups > 1:
        parts = op.variadic_split(values, 1, [inside] * groups).outputs()
    sums = [
        _sums(
            node,
            part,
            limits[place * inside : (place + 1) * inside],
            weights[place * outside : (place + 1) * outside],
        )
        for place, part in enumerate(parts)
    ]
    whole = sums[0] if groups == 1 else op.concat(sums, 1)
    scales = _constant(scale).reshape(1, -1, 1, 1)
    return list(op.multiply(whole, op.constant(scales)).outputs())


def _sums(node: Any, values: Any, limits: Floats, weights: Floats) -> Any:
    """Return the sums of one group; they are of floats where channels fill no whole bytes."""
    from openvino import opset1
    from openvino import opset13 as op

    limit = op.constant(limits.reshape(1, -1, 1, 1))
    top, left, bottom, right = node.get_attribute("pads")
    geometry = (node.get_attribute("strides"), [top, left], [bottom, right],
                node.get_attribute("dilations"))  # fmt: skip
    if len(limits) % _BYTE:
        one, other = (op.constant(np.float32(sign)) for sign in (1, -1))
        signs = op.select(op.greater(values, limit), one, other)
        # Rounded, so that a scale that is moved into the weights makes no other sums.
        return op.round(op.convolution(signs, op.constant(weights), *geometry), "half_to_even")
    low, high = (op.constant(np.full((1, 1, 1, 1), end, np.float32)) for end in (0, 1))
    signs = op.fake_quantize(values, limit, limit, low, high, 2)
    return opset1.binary_convolution(signs, _bits(weights), *geometry, "xnor-popcount", 0.0)


def _bits(weights: Floats) -> Any:
    """Return a constant of bits (M, C, kh, kw), packed from the lowest bit of each byte on."""
    import openvino

    # Filled, not wrapped around an array, which the constant would outlive.
    tensor = openvino.Tensor(openvino.Type.u1, openvino.Shape(list(weights.shape)))
    tensor.data[:] = np.packbits(weights.ravel() > 0, bitorder="little")
    return openvino.op.Constant(tensor)


def _constant(value: Any) -> Any:
    """Return a copy of the values of a constant."""
    layer = value.get_node()
    if layer.get_type_name() != "Constant":
        raise ValueError(f"{OPERATOR} reads a {layer.get_type_name()}, not a constant")
    return layer.data.copy()
