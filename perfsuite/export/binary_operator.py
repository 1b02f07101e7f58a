"""The operator of binary convolutions: how it is written into graphs, and what it answers.

ONNX has no such operator, so a graph carries one of a domain of its own, as a local function in
plain operators, which any ONNX engine can run. Weights are packed, a bit each; activations become
bits inside the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from perfsuite.errors import ConfigError

if TYPE_CHECKING:
    import onnx

DOMAIN, OPERATOR, VERSION = "perfsuite", "BinaryConv", 1
OPSET = 18  # the first with BitwiseAnd
INPUTS = ("X", "threshold", "W", "scale")
ATTRIBUTES = ("channels", "kernel_shape", "strides", "pads", "dilations", "group")

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint8]


class ConvGeometry(msgspec.Struct, frozen=True):
    """Which taps a two-dimensional convolution reads; `pads` are top, left, bottom, right."""

    kernel_shape: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    group: int = 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the result for those of the input."""
        top, left, bottom, right = self.pads
        reach = [
            dilation * (side - 1) + 1
            for side, dilation in zip(self.kernel_shape, self.dilations, strict=True)
        ]
        return (
            (height + top + bottom - reach[0]) // self.strides[0] + 1,
            (width + left + right - reach[1]) // self.strides[1] + 1,
        )


def pack_weights(weights: npt.NDArray[np.floating]) -> Bits:
    """Return bits [M, kh, kw, ceil(C/8)] of weights [M, C, kh, kw]: 1 for 0 and above, else 0.

    Bit b of byte k is channel 8k+b. Bits beyond the last channel are 0.
    """
    positive = np.moveaxis(np.asarray(weights) >= 0, 1, -1)
    return np.packbits(positive, axis=-1, bitorder="little")


def unpack_weights(packed: Bits, channels: int) -> Floats:
    """Return weights [M, C, kh, kw] of +1 and -1 from what `pack_weights` gave for C `channels`."""
    bits = np.unpackbits(packed, axis=-1, count=channels, bitorder="little")
    return np.moveaxis(bits, -1, 1).astype(np.float32) * 2 - 1


def binary_conv_node(
    inputs: Sequence[str], output: str, name: str, channels: int, geometry: ConvGeometry
) -> onnx.NodeProto:
    """Return a node of the operator, whose `inputs` are named in the order of `INPUTS`.

    `channels` are those that each output channel reads: the input's, divided by the groups.
    """
    from onnx import helper

    return helper.make_node(
        OPERATOR,
        list(inputs),
        [output],
        name=name,
        domain=DOMAIN,
        channels=channels,
        kernel_shape=list(geometry.kernel_shape),
        strides=list(geometry.strides),
        pads=list(geometry.pads),
        dilations=list(geometry.dilations),
        group=geometry.group,
    )


def is_binary_conv(node: onnx.NodeProto) -> bool:
    """Tell whether a node is of the operator."""
    return bool(node.domain == DOMAIN and node.op_type == OPERATOR)


def geometry_of(node: onnx.NodeProto) -> tuple[int, ConvGeometry]:
    """Return the channels that each output channel reads, and the geometry, of a binary node.

    Raises `ConfigError` if an attribute is missing or has another number of entries.
    """
    from onnx import helper

    found = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    try:
        values = {name: found[name] for name in ATTRIBUTES}
        return int(values.pop("channels")), msgspec.convert(values, ConvGeometry)
    except (KeyError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"node '{node.name}': {OPERATOR} must have the attributes {', '.join(ATTRIBUTES)}, "
            f"of two dimensions ({error}); export the model again"
        ) from error


def add_function(model: onnx.ModelProto) -> None:
    """Give `model` the operator's function and the import of its domain, unless it has them.

    Raises `ConfigError` if the model's operator set is older than `OPSET`.
    """
    from onnx import helper

    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    opset = max(versions, default=OPSET)
    if opset < OPSET:
        raise ConfigError(
            f"{OPERATOR} needs operator set {OPSET}, the model has {opset}; export it for "
            f"{OPSET} or a newer one"
        )
    if not any(one.domain == DOMAIN and one.name == OPERATOR for one in model.functions):
        model.functions.append(binary_conv_function(opset))
    if not any(one.domain == DOMAIN for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))


def binary_conv_function(opset: int = OPSET) -> onnx.FunctionProto:
    """Return the operator's body in plain operators of an operator set.

    The bits are unpacked into weights of +1 and -1. As they are constants, engines do that once.
    Sums are rounded before they are scaled, so that they are the integers that they should be
    whatever an engine's kernel does: one that folded the scale into the weights would be off by a
    rounding error, which the next layer's sign may turn into another answer.
    """
    from onnx import parser

    body = parser.parse_function(_BODY)
    body.opset_import[0].version = opset  # the operators are the same in newer ones
    return body


def binary_conv(
    x: Floats, threshold: Floats, packed: Bits, scale: Floats, geometry: ConvGeometry
) -> Floats:
    """Return what the operator answers to `x` [N, C, H, W], in plain NumPy.

    It is `scale[m]` times the sum over the taps inside the picture of s(x) * w, where s is +1 for
    x >= threshold, else -1. Taps in the padding add nothing. The sum is of integers, and exact.
    """
    samples, channels, height, width = x.shape
    weights = unpack_weights(packed, channels // geometry.group).astype(np.int32)
    signs = np.where(x >= threshold[:, None, None], 1, -1).astype(np.int32)
    top, left, bottom, right = geometry.pads
    signs = np.pad(signs, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows, columns = geometry.output_size(height, width)
    grouped = signs.reshape(samples, geometry.group, -1, *signs.shape[2:])
    filters = weights.reshape(geometry.group, -1, *weights.shape[1:])
    total = np.zeros((samples, *filters.shape[:2], rows, columns), np.int32)
    down, across = geometry.strides
    for i in range(geometry.kernel_shape[0]):
        for j in range(geometry.kernel_shape[1]):
            first, begin = i * geometry.dilations[0], j * geometry.dilations[1]
            taps = grouped[
                ...,
                first : first + down * (rows - 1) + 1 : down,
                begin : begin + across * (columns - 1) + 1 : across,
            ]
            total += np.einsum("ngchw,gmc->ngmhw", taps, filters[..., i, j])
    total = total.reshape(samples, -1, rows, columns)
    return total.astype(np.float32) * scale[:, None, None].astype(np.float32)


_PASSED_ON = ", ".join(
    f"{name}: {'int' if name == 'group' else 'ints'} = @{name}" for name in ATTRIBUTES[1:]
)
_BODY = f"""
<opset_import: ["" : {OPSET}], domain: "{DOMAIN}">
{OPERATOR} <{", ".join(ATTRIBUTES)}> ({", ".join(INPUTS)}) => (Y)
{{
    last = Constant <value_ints: ints = [-1]> ()
    shifts = Constant <value = uint8[8] {{0, 1, 2, 3, 4, 5, 6, 7}}> ()
    bit = Constant <value = uint8 {{1}}> ()
    bytes = Unsqueeze (W, last)
    shifted = BitShift <direction = "RIGHT"> (bytes, shifts)
    bits = BitwiseAnd (shifted, bit)
    rows = Constant <value_ints: ints = [0, 0, 0, -1]> ()
    filled = Reshape (bits, rows)
    start = Constant <value_ints: ints = [0]> ()
    count = Constant <value_int: int = @channels> ()
    end = Reshape (count, last)
    axis = Constant <value_ints: ints = [3]> ()
    kept = Slice (filled, start, end, axis)
    ordered = Transpose <perm = [0, 3, 1, 2]> (kept)
    floats = Cast <to = 1> (ordered)
    two = Constant <value = float {{2.0}}> ()
    doubled = Mul (floats, two)
    one = Constant <value = float {{1.0}}> ()
    weights = Sub (doubled, one)
    places = Constant <value_ints: ints = [1, -1, 1, 1]> ()
    limits = Reshape (threshold, places)
    above = GreaterOrEqual (X, limits)
    minus = Constant <value = float {{-1.0}}> ()
    signs = Where (above, one, minus)
    sums = Conv <{_PASSED_ON}> (signs, weights)
    exact = Round (sums)
    scales = Reshape (scale, places)
    Y = Mul (exact, scales)
}}
"""
