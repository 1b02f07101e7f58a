"""Which of torch's operators multiply and accumulate, and which of those have no formula.

The counterpart of `operators`, which knows ONNX's.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

_FREE = """
made:
    arange bernoulli empty empty_like empty_permuted empty_strided exponential eye fill full
    full_like linspace logspace multinomial native_dropout new_empty new_empty_strided new_full
    new_ones new_zeros normal ones ones_like rand rand_like randint randint_like randn randn_like
    randperm scalar_tensor tril_indices triu_indices uniform zero zeros zeros_like
moved:
    _index_put_impl _local_scalar_dense _pin_memory _reshape_alias _reshape_copy _to_copy _unique2
    _unsafe_index _unsafe_index_put _unsafe_view bincount bucketize cat channel_shuffle col2im
    constant_pad_nd copy embedding flip gather im2col index index_add index_copy index_fill
    index_put index_reduce index_select lift lift_fresh_copy masked_fill masked_scatter
    masked_select native_channel_shuffle nonzero nonzero_static pixel_shuffle pixel_unshuffle put
    reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d
    replication_pad2d replication_pad3d resize resize_as roll scatter scatter_add scatter_reduce
    searchsorted select_scatter set slice_scatter sort stack take topk tril triu
    unique_consecutive unique_dim view_copy
reduced:
    all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum equal
    kthvalue linalg_vector_norm logcumsumexp logsumexp max mean median min mode nanmedian nansum
    norm prod std std_mean sum var var_mean
activations-normalization:
    _batch_norm_no_update _fused_rms_norm _log_softmax _native_batch_norm_legit
    _native_batch_norm_legit_no_training _prelu_kernel _safe_softmax _softmax cudnn_batch_norm elu
    gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid_forward mish
    native_batch_norm native_group_norm native_layer_norm relu relu6 renorm rrelu_with_noise silu
    softplus softshrink threshold
pooling-interpolation:
    _adaptive_avg_pool2d _adaptive_avg_pool3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
    fractional_max_pool2d fractional_max_pool3d max_pool1d max_pool2d max_pool2d_with_indices
    max_pool3d_with_indices max_unpool2d max_unpool3d upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d
    upsample_trilinear3d
quantization-assertions:
    _assert_async _assert_scalar _assert_tensor_metadata _linalg_check_errors dequantize
    fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask int_repr
    q_scale q_zero_point quantize_per_channel quantize_per_tensor sym_numel
    sym_size sym_stride
"""
# Operators that need none, as the same ones of ONNX do not; those that act element by element and
# views torch knows itself. A name that ends with an underscore works in place and is the same.
NO_MACS = frozenset(word for word in _FREE.split() if not word.endswith(":"))
_NO_MACS_BOXES = frozenset({"nms", "roi_align", "roi_pool", "ps_roi_align"})  # torchvision's


def counter() -> FlopCounterMode:
    """Return torch's own counter, which counts two operations a multiply-accumulate.

    It gets the formulas that it lacks for what runs on processors.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    aten = torch.ops.aten
    formulas = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten.grid_sampler_2d: _grid_sampler_2d,
    }
    return FlopCounterMode(display=False, custom_mapping=formulas)


def is_uncounted(func: Any, counting: FlopCounterMode) -> bool:
    """Return whether an operator may multiply and accumulate, and `counting` does not see it."""
    import torch

    if func.overloadpacket in counting.flop_registry or torch.Tag.pointwise in func.tags:
        return False
    name = func.overloadpacket.__name__.rstrip("_")
    if func.namespace == "aten":
        return not (func.is_view or name in NO_MACS)
    return not (func.namespace == "torchvision" and name in _NO_MACS_BOXES)


def operator_name(func: Any) -> str:
    """Return `fft_r2c`, or `torchvision::deform_conv2d` for what is not one of torch's own."""
    name = str(func.overloadpacket.__name__)
    return name.lstrip("_") if func.namespace == "aten" else f"{func.namespace}::{name}"


def _attention(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *rest: Any, **kwargs: Any
) -> int:
    """Return the operations of the two products: of queries and keys, of weights and values."""
    return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _grid_sampler_2d(
    picture: tuple[int, ...], grid: tuple[int, ...], mode: int, *rest: Any, **kwargs: Any
) -> int:
    """Return the operations: each value is the mean of its neighbours, weighted by the grid.

    There are four of them in bilinear interpolation, none is weighted in nearest, 16 in bicubic.
    """
    return 2 * (4, 0, 16)[mode] * prod(picture[:2]) * prod(grid[1:3])
