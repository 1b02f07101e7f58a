"""A table: which rule says what an operation makes of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from perfsuite.passes.prune import rules_forms as forms
from perfsuite.passes.prune import rules_products as products
from perfsuite.passes.prune import rules_values as values
from perfsuite.passes.prune.operations import Facets, Operation, Trace

Rule = Callable[[Trace, Operation], list[Facets] | None]

# Names are those of ATen, without a trailing underscore: in place or not is the same here.
_BY_RULE: tuple[tuple[Rule, str], ...] = (
    (
        values.elementwise,
        "relu relu6 prelu _prelu_kernel leaky_relu rrelu_with_noise elu celu selu gelu silu mish "
        "hardswish hardsigmoid hardtanh softplus sigmoid tanh threshold where masked_fill clamp "
        "lerp addcmul addcdiv rsub pow mul add sub div native_dropout dropout",
    ),
    (
        values.same,
        "clone detach alias contiguous _to_copy lift_fresh lift to zeros_like ones_like full_like "
        "empty_like rand_like randn_like fill zero uniform normal bernoulli _conj resolve_conj",
    ),
    (values.copied_into, "copy"),
    (
        values.made,
        "empty zeros ones full arange rand randn eye linspace scalar_tensor new_empty new_zeros "
        "new_ones new_full empty_strided new_empty_strided",
    ),
    (
        values.reduced,
        "mean sum amax amin max min var std var_mean std_mean linalg_vector_norm norm logsumexp "
        "prod argmax argmin any all median nansum count_nonzero",
    ),
    (
        values.scanned,
        "_softmax _log_softmax softmax log_softmax cumsum cumprod cummax cummin sort topk "
        "_safe_softmax",
    ),
    (
        values.resampled,
        "max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d "
        "max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
        "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool2d adaptive_avg_pool3d "
        "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d fractional_max_pool2d "
        "reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
        "replication_pad3d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
        "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d "
        "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d "
        "_upsample_bilinear2d_aa _upsample_bicubic2d_aa grid_sampler_2d grid_sampler_3d roi_align "
        "mkldnn_max_pool2d mkldnn_adaptive_avg_pool2d",
    ),
    (values.padded, "constant_pad_nd"),
    (
        values.batch_norm,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
        "cudnn_batch_norm miopen_batch_norm _batch_norm_no_update batch_norm",
    ),
    (values.group_norm, "native_group_norm"),
    (values.layer_norm, "native_layer_norm _fused_rms_norm rms_norm"),
    (values.gated, "glu"),
    (forms.reshaped, "view _unsafe_view reshape _reshape_alias _view_copy view_copy"),
    (forms.permuted, "permute transpose t"),
    (forms.unsqueezed, "unsqueeze"),
    (forms.squeezed, "squeeze"),
    (forms.expanded, "expand"),
    (forms.repeated, "repeat"),
    (forms.joined, "cat concat concatenate"),
    (forms.stacked, "stack"),
    (forms.split, "split split_with_sizes chunk tensor_split"),
    (forms.unbound, "unbind"),
    (forms.selected, "select"),
    (forms.sliced, "slice"),
    (forms.flipped, "flip"),
    (forms.rolled, "roll"),
    (forms.indexed, "index"),
    (forms.put, "index_put _index_put_impl"),
    (forms.chosen, "index_select"),
    (forms.embedded, "embedding"),
    (forms.unfolded, "im2col"),
    (forms.pixel_shuffled, "pixel_shuffle"),
    (forms.channels_shuffled, "channel_shuffle native_channel_shuffle"),
    (products.matrices, "mm addmm bmm baddbmm"),
    (products.vectors, "mv addmv"),
    (products.linear, "linear mkldnn_linear"),
    (products.convolution, "convolution _convolution mkldnn_convolution convolution_overrideable"),
    (
        products.attention,
        "scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu "
        "_scaled_dot_product_flash_attention _scaled_dot_product_efficient_attention "
        "_scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable",
    ),
)


@cache
def _table() -> Mapping[str, Rule]:
    return {name: rule for rule, names in _BY_RULE for name in names.split()}


def rule_of(name: str, func: Any) -> Rule | None:
    """Return the rule of an operation; None if there is none."""
    import torch

    found = _table().get(name) or _table().get(name.removesuffix("_"))
    if found is None and torch.Tag.pointwise in getattr(func, "tags", ()):
        return values.elementwise
    return found
