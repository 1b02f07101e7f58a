"""The multiply-accumulates (MACs) of torch's operators for which torch itself has no formula.

A formula takes an operator's arguments and its answer, every tensor replaced by its shape, and
returns the MACs. The products that a fast path has in one operator are those of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

Shape = tuple[int, ...]
Formula = Callable[[Sequence[Any], Any], int]  # of the arguments and the answer


def _first(out: Any) -> Shape:
    """Return the shape of the answer, or of the first of several."""
    shape: Shape = out if not out or isinstance(out[0], int) else out[0]
    return shape


# -- convolutions --


def _convolution(weight: int) -> Formula:
    """Per element of the answer one product with each weight of its filter."""
    return lambda args, out: prod(_first(out)) * prod(args[weight][1:])


def _transposed(args: Sequence[Any], out: Any) -> int:
    """Per element of the input one product with each weight of its filter."""
    return int(prod(args[0]) * prod(args[1][1:]))


def _conv_tbc(args: Sequence[Any], out: Any) -> int:
    """Per element of the answer one product with each weight: (steps, channels, filters)."""
    return int(prod(_first(out)) * prod(args[1][:2]))


def _packed_convolution(args: Sequence[Any], out: Any) -> int:
    """Return the MACs of a quantized convolution, whose weights are inside an object of C++."""
    weight = tuple(args[1].unpack()[0].shape)
    return int(prod(_first(out)) * prod(weight[1:]))


def _packed_transposed(args: Sequence[Any], out: Any) -> int:
    weight = tuple(args[1].unpack()[0].shape)
    return int(prod(args[0]) * prod(weight[1:]))


def _binary(args: Sequence[Any], out: Any) -> int:
    """Return the products of signs, each of which torch multiplies and adds in float."""
    weight, channels = args[2], args[4]  # packed, (M, kh, kw, bytes)
    return int(prod(_first(out)) * channels * prod(weight[1:3]))


# -- products of matrices --


def _along(factor: int, axis: int = -1) -> Formula:
    """Per element of the answer a scalar product along an axis of one factor."""
    return lambda args, out: prod(_first(out)) * args[factor][axis]


def _dot(args: Sequence[Any], out: Any) -> int:
    return prod(args[0])


def _addbmm(args: Sequence[Any], out: Any) -> int:
    """The products of all pairs in two batches of matrices are summed."""
    return int(prod(args[1]) * args[2][-1])


def _trilinear(args: Sequence[Any], out: Any) -> int:
    """`bilinear` is the sum of x_i W_kij y_j over i and j: a product with W for each x_i y_j.

    Each of the three factors lacks the axes in its `expand`.
    """
    factors, expand = args[:3], args[3:6]
    full = []
    for shape, axes in zip(factors, expand, strict=True):
        sides = list(shape)
        for axis in sorted(axes):
            sides.insert(axis, 1)
        full.append(sides)
    return prod(max(sides) for sides in zip(*full, strict=True))


# -- attention --


def _attention(args: Sequence[Any], out: Any) -> int:
    """Return the two products: of queries and keys, and of weights and values."""
    query, key, value = args[:3]
    return int(prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _multi_head(args: Sequence[Any], out: Any) -> int:
    """Return the projections of queries, keys and values, attention, and the last projection."""
    query, key, value, width = args[:4]
    lengths = prod(query[:-1]), prod(key[:-1]), prod(value[:-1])
    projected = sum(n * shape[-1] for n, shape in zip(lengths, (query, key, value), strict=True))
    return int(width * (projected + 2 * lengths[0] * key[-2] + lengths[0] * width))


def _encoder_layer(args: Sequence[Any], out: Any) -> int:
    """Return attention, its projections, and the two linear layers after it."""
    source, width = args[0], args[1]
    weights = sum(prod(args[place]) for place in (3, 5, 14, 16))
    return int(prod(source[:-1]) * (weights + 2 * source[-2] * width))


# -- recurrent layers --


def _recurrent_layer(args: Sequence[Any], out: Any) -> int:
    """Per step and sample one product with each weight, of the input and of the state before."""
    return int(prod(args[0][:-1]) * (prod(args[1]) + prod(args[2])))


def _recurrent_net(args: Sequence[Any], out: Any) -> int:
    """Return the same for the layers of a list of weights, biases among them."""
    return int(prod(args[0][:-1]) * sum(prod(one) for one in args[1] if len(one) == 2))


def _quantized_net(gates: int) -> Formula:
    """Return that of layers whose weights are inside objects of C++: sizes tell the weights."""

    def macs(args: Sequence[Any], out: Any) -> int:
        source, state = args[0], args[1]
        layers, bidirectional = args[4], args[7]
        hidden = (state if isinstance(state[0], int) else state[0])[-1]
        directions = 2 if bidirectional else 1
        inside = source[-1] + (layers - 1) * hidden * directions
        weights = directions * gates * hidden * (inside + layers * hidden)
        return int(prod(source[:-1]) * weights)

    return macs


def _cell(args: Sequence[Any], out: Any) -> int:
    """Return the products of a recurrent cell: of its input and its state with two matrices."""
    return int(prod(args[0][:-1]) * (prod(args[2]) + prod(args[3])))


def _packed_cell(gates: int) -> Formula:
    def macs(args: Sequence[Any], out: Any) -> int:
        source, state = args[0], args[1]
        hidden = (state if isinstance(state[0], int) else state[0])[-1]
        return int(prod(source[:-1]) * gates * hidden * (source[-1] + hidden))

    return macs


# -- others --


def _grid_sampler(args: Sequence[Any], out: Any) -> int:
    """Each value is the mean of its neighbours in each direction, weighted by the grid.

    There are two a direction in linear interpolation, none is weighted in nearest, 4 in cubic.
    """
    picture, grid = args[:2]
    mode = args[2] if len(args) > 2 else 0  # cuDNN's operator knows one alone
    neighbours: int = (2, 0, 4)[mode] ** grid[-1]
    return int(neighbours * prod(picture[:2]) * prod(grid[1:-1]))


def _bag(args: Sequence[Any], out: Any) -> int:
    """Rows are summed: that takes products only where each has a weight of its own."""
    weighted = len(args) > 6 and args[6] is not None
    return prod(args[1]) * args[0][-1] if weighted else 0


def _affine_grid(args: Sequence[Any], out: Any) -> int:
    """Each place is a product of its own coordinates and 1 with a matrix."""
    return int(prod(_first(out)) * args[0][-1])


FORMULAS: dict[str, Formula] = {
    "_addmm_activation": _along(1),
    "_conv_depthwise2d": _convolution(1),
    "_cudnn_rnn": _recurrent_net,
    "_dyn_quant_matmul_4bit": _along(0),
    "_embedding_bag": _bag,
    "_embedding_bag_forward_only": _bag,
    "_grid_sampler_2d_cpu_fallback": _grid_sampler,
    "_int_mm": _along(0),
    "_mixed_dtypes_linear": _along(0),
    "_native_multi_head_attention": _multi_head,
    "_nnpack_spatial_convolution": _convolution(1),
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_attention_math_for_mps": _attention,
    "_scaled_mm_v2": _along(0),
    "_slow_conv2d_forward": _convolution(1),
    "_sparse_semi_structured_linear": _along(0),
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "_triton_multi_head_attention": _multi_head,
    "_triton_scaled_dot_attention": _attention,
    "_trilinear": _trilinear,
    "_weight_int4pack_mm": _along(0),
    "_weight_int4pack_mm_for_cpu": _along(0),
    "_weight_int4pack_mm_with_scales_and_zeros": _along(0),
    "_weight_int8pack_mm": _along(0),
    "_wrapped_quantized_linear_prepacked": _along(0),
    "addbmm": _addbmm,
    "addmm": _along(1),
    "addmv": _along(1),
    "affine_grid_generator": _affine_grid,
    "baddbmm": _along(1),
    "conv_depthwise3d": _convolution(1),
    "conv_tbc": _conv_tbc,
    "cudnn_affine_grid_generator": _affine_grid,
    "cudnn_convolution": _convolution(1),
    "cudnn_convolution_add_relu": _convolution(1),
    "cudnn_convolution_relu": _convolution(1),
    "cudnn_convolution_transpose": _transposed,
    "cudnn_grid_sampler": _grid_sampler,
    "dot": _dot,
    "fbgemm_linear_fp16_weight": _along(0),
    "fbgemm_linear_fp16_weight_fp32_activation": _along(0),
    "fbgemm_linear_int8_weight": _along(0),
    "fbgemm_linear_int8_weight_fp32_activation": _along(0),
    "grid_sampler_2d": _grid_sampler,
    "grid_sampler_3d": _grid_sampler,
    "gru_cell": _cell,
    "linear": _along(0),
    "lstm_cell": _cell,
    "miopen_convolution": _convolution(1),
    "miopen_convolution_add_relu": _convolution(1),
    "miopen_convolution_relu": _convolution(1),
    "miopen_convolution_transpose": _transposed,
    "miopen_depthwise_convolution": _convolution(1),
    "miopen_rnn": _recurrent_net,
    "mkldnn_convolution": _convolution(1),
    "mkldnn_linear": _along(0),
    "mkldnn_rnn_layer": _recurrent_layer,
    "mv": _along(0),
    "quantized_gru": _quantized_net(3),
    "quantized_gru_cell": _cell,
    "quantized_lstm": _quantized_net(4),
    "quantized_lstm_cell": _cell,
    "quantized_rnn_relu_cell": _cell,
    "quantized_rnn_tanh_cell": _cell,
    "rnn_relu_cell": _cell,
    "rnn_tanh_cell": _cell,
    "slow_conv3d": _convolution(1),
    "slow_conv3d_forward": _convolution(1),
    "slow_conv_dilated2d": _convolution(1),
    "slow_conv_dilated3d": _convolution(1),
    "slow_conv_transpose2d": _transposed,
    "slow_conv_transpose3d": _transposed,
    "thnn_conv2d": _convolution(1),
    "vdot": _dot,
    "mkldnn::_convolution_pointwise": _convolution(1),
    "mkldnn::_convolution_transpose_pointwise": _transposed,
    "mkldnn::_linear_pointwise": _along(0),
    "perfsuite::binary_conv": _binary,
    "torchvision::deform_conv2d": _convolution(1),  # its sampling is free, as that of roi_align
    "quantized::linear": _along(0),
    "quantized::linear_dynamic": _along(0),
    "quantized::linear_dynamic_fp16": _along(0),
    "quantized::linear_leaky_relu": _along(0),
    "quantized::linear_relu": _along(0),
    "quantized::linear_relu_dynamic": _along(0),
    "quantized::linear_tanh": _along(0),
    "quantized::matmul": _along(0),
    "quantized::quantized_gru_cell_dynamic": _packed_cell(3),
    "quantized::quantized_lstm_cell_dynamic": _packed_cell(4),
    "quantized::quantized_rnn_relu_cell_dynamic": _packed_cell(1),
    "quantized::quantized_rnn_tanh_cell_dynamic": _packed_cell(1),
    **{
        f"quantized::conv{axes}d{kind}": _packed_convolution
        for axes in (1, 2, 3)
        for kind in ("", "_relu", "_add", "_add_relu", "_dynamic")
    },
    **{
        f"quantized::conv_transpose{axes}d{kind}": _packed_transposed
        for axes in (1, 2, 3)
        for kind in ("", "_dynamic")
    },
}
