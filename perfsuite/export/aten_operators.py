"""Which of torch's operators multiply and accumulate, and which of those have no formula.

The counterpart of `operators`, which knows ONNX's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from perfsuite.export.aten_formulas import FORMULAS

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
training-optimizers:
    _amp_foreach_non_finite_check_and_unscale _amp_update_scale _fused_adagrad _fused_adam
    _fused_adamw _fused_sgd
losses:
    _ctc_loss _cudnn_ctc_loss binary_cross_entropy binary_cross_entropy_with_logits dist
    huber_loss miopen_ctc_loss mse_loss multi_margin_loss multilabel_margin_loss_forward
    nll_loss2d_forward nll_loss_forward smooth_l1_loss soft_margin_loss
sparse-nested:
    _coalesce _coalesced _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo _dimI
    _dimV _indices_copy _jagged_to_padded_dense_forward
    _nested_compute_contiguous_strides_offsets _nested_from_padded
    _nested_from_padded_and_nested_example _nested_from_padded_tensor _nested_get_jagged_dummy
    _nested_get_lengths _nested_get_max_seqlen _nested_get_min_seqlen _nested_get_offsets
    _nested_get_ragged_idx _nested_get_values_copy _nested_tensor_from_mask
    _nested_tensor_from_mask_left_aligned _nested_tensor_from_tensor_list _nested_tensor_size
    _nested_tensor_softmax_with_shape _nested_tensor_storage_offsets _nested_tensor_strides
    _nested_view_from_buffer_copy _nested_view_from_jagged_copy _pack_padded_sequence
    _padded_dense_to_jagged_forward _sparse_broadcast_to_copy
    _sparse_compressed_tensor_with_dims _sparse_coo_tensor_with_dims
    _sparse_coo_tensor_with_dims_and_tensors _sparse_csr_prod _sparse_csr_sum
    _sparse_log_softmax _sparse_mask_projection _sparse_semi_structured_apply
    _sparse_semi_structured_apply_dense _sparse_semi_structured_tile _sparse_softmax _sparse_sum
    _spdiags _to_dense _to_sparse _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr
    _to_sparse_semi_structured _validate_compressed_sparse_indices _values_copy
    ccol_indices_copy col_indices_copy copy_sparse_to_sparse crow_indices_copy dense_dim
    resize_as_sparse row_indices_copy sparse_compressed_tensor sparse_coo_tensor sparse_dim
    sparse_mask sparse_resize sparse_resize_and_clear to_padded_tensor unique_dim_consecutive
    values_copy
more-made:
    _cudnn_init_dropout_state _dirichlet_grad _efficientzerotensor _empty_affine_quantized
    _empty_per_channel_affine_quantized
    _fake_quantize_per_tensor_affine_cachemask_tensor_qparams _fill_mem_eff_dropout_mask
    _functional_sym_constrain_range _functional_sym_constrain_range_for_size _fused_dropout
    _masked_scale _masked_softmax _philox_key_fold_in _philox_key_split _philox_normal
    _philox_uniform _sample_dirichlet _standard_gamma _standard_gamma_grad _unsafe_masked_index
    _unsafe_masked_index_put_accumulate bartlett_window binomial blackman_window cauchy
    empty_quantized fft_fftfreq fft_rfftfreq from_file geometric hamming_window hann_window
    kaiser_window log_normal normal_functional poisson random range rrelu_with_noise_functional
    sym_constrain_range sym_constrain_range_for_size
more-quantization:
    _dyn_quant_pack_4bit_weight _fake_quantize_learnable_per_channel_affine
    _fake_quantize_learnable_per_tensor_affine _fused_moving_avg_obs_fq_helper
    _fused_moving_avg_obs_fq_helper_functional _make_per_channel_quantized_tensor
    _make_per_tensor_quantized_tensor q_per_channel_axis q_per_channel_scales
    q_per_channel_zero_points qscheme quantize_per_tensor_dynamic quantized_batch_norm
    quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d
queries:
    _foobar _functional_assert_async _functional_assert_scalar _is_all_true _is_any_true
    _make_dep_token _print _test_autograd_multiple_dispatch
    _test_autograd_multiple_dispatch_view_copy _test_functorch_fallback
    _test_optional_filled_intlist _test_optional_floatlist _test_optional_intlist
    _test_parallel_materialize _test_warn_in_autograd _use_cudnn_ctc_loss _use_miopen_ctc_loss
    is_coalesced is_pinned is_same_size is_set_to
other:
    __irshift _add_relu _aminmax _batch_norm_with_update _batch_norm_with_update_functional
    _chunk_cat _conj_copy _convert_weight_to_int4pack _convert_weight_to_int4pack_for_cpu
    _copy_from _copy_from_and_resize _cslt_compress _cudnn_rnn_flatten_weight _cummax_helper
    _cummin_helper  _fused_sdp_choice _fw_primal_copy
    _has_same_storage_numel _histogramdd_bin_edges _histogramdd_from_bin_cts
    _histogramdd_from_bin_tensors _lazy_clone _logcumsumexp _make_dual_copy _mkldnn_reshape
    _mkldnn_transpose _native_batch_norm_legit_functional _neg_view_copy
    _new_zeros_with_same_feature_meta _nnz _reshape_alias_copy _resize_output _stack
    _thnn_fused_gru_cell _thnn_fused_lstm_cell _transform_bias_rescale_qkv _unique
    _upsample_lanczos2d_aa _weight_norm_interface abs addr alias_copy allclose as_strided
    as_strided_copy as_strided_scatter batch_norm_elemt batch_norm_gather_stats
    batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats block_diag
    complex copysign detach detach_copy diag_embed diagonal_copy diagonal_scatter
    embedding_renorm eq expand_copy floor_divide gcd ge glu_jvp gt hash_tensor heaviside histc
    histogram indices_copy isin lcm le linalg__powsum linalg_cross lt lu_unpack
    miopen_batch_norm mkldnn_adaptive_avg_pool2d mkldnn_max_pool2d mkldnn_max_pool3d
    mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight narrow_copy native_norm ne
    permute_copy polar record_stream rot90 rsub segment_reduce select_copy shallow_copy_data
    slice_copy split_copy split_with_sizes_copy squeeze squeeze_copy t t_copy to_mkldnn trace
    transpose transpose_copy unbind_copy unfold_copy unsafe_split unsafe_split_with_sizes
    unsqueeze unsqueeze_copy view_as_complex_copy view_as_real_copy xlogy
"""
# Operators that need none, as the same ones of ONNX do not; those that act element by element and
# views torch knows itself. A name that ends with an underscore works in place and is the same.
NO_MACS = frozenset(word for word in _FREE.split() if not word.endswith(":"))
# Operators that multiply and accumulate, by a rule that sizes alone do not tell (decompositions,
# fast transforms, sparse factors) or that nobody needs here: they are told to be uncounted.
_TOLD = """
    _cdist_forward _cholesky_solve_helper _compute_linear_combination _cslt_sparse_mm
    _cslt_sparse_mm_search _cudnn_attention_forward _euclidean_dist _fft_c2c _fft_c2r _fft_r2c
    _flash_attention_forward_no_dropout_inplace _foreach_mm _grouped_mm _linalg_det _linalg_eigh
    _linalg_eigvals _linalg_slogdet _linalg_solve_ex _linalg_svd _lstm_mps _mps_convolution
    _mps_convolution_transpose _pdist_forward _scaled_grouped_mm _scaled_grouped_mm_v2
    _sparse_addmm _sparse_mm_reduce_impl _sparse_semi_structured_addmm
    _sparse_semi_structured_mm _sparse_sparse_matmul _spsolve cholesky_inverse cholesky_solve
    geqrf hspmm linalg_cholesky_ex linalg_eig linalg_householder_product linalg_inv_ex
    linalg_ldl_factor_ex linalg_ldl_solve linalg_lstsq linalg_lu linalg_lu_factor_ex
    linalg_lu_solve linalg_matrix_exp linalg_matrix_sqrth linalg_pinv linalg_polar linalg_qr
    linalg_solve_triangular ormqr sparse_sampled_addmm triangular_solve
"""
TOLD = frozenset(_TOLD.split())
_NO_MACS_BOXES = frozenset({"nms", "roi_align", "roi_pool", "ps_roi_align"})  # torchvision's
_QUANTIZED = """
    add add_out add_relu add_relu_out add_scalar add_scalar_out add_scalar_relu
    add_scalar_relu_out batch_norm batch_norm1d batch_norm2d batch_norm2d_relu batch_norm3d
    batch_norm3d_relu batch_norm_relu cat cat_out cat_relu cat_relu_out celu
    conv1d_prepack conv1d_unpack conv2d_prepack conv2d_unpack conv3d_prepack conv3d_unpack
    conv_prepack conv_unpack dropout elu embedding_4bit embedding_bag_4bit_rowwise_offsets
    embedding_bag_byte embedding_bag_byte_rowwise_offsets embedding_bag_prepack embedding_byte
    group_norm hardswish instance_norm layer_norm leaky_relu linear_prepack linear_prepack_fp16
    linear_unpack make_quantized_cell_params make_quantized_cell_params_dynamic mul mul_out
    mul_relu mul_relu_out mul_scalar mul_scalar_out mul_scalar_relu mul_scalar_relu_out prelu
    relu6 sigmoid softmax threshold
"""
_NO_MACS_QUANTIZED = frozenset(_QUANTIZED.split())


@dataclass
class Count:
    """What was counted: multiply-accumulates, and operators that may have some, to their number."""

    macs: int = 0
    uncounted: Counter[str] = field(default_factory=Counter)


@contextmanager
def counted() -> Iterator[Count]:
    """Count what torch runs within the context; operators made of others are taken apart."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    found = Count()

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        supports_higher_order_operators = True

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            named = kwargs or {}
            if not isinstance(func, torch._ops.OpOverload):  # control flow is such an operator
                found.uncounted[f"higher order::{func.name()}"] += 1
                return func(*args, **named)
            if func is not torch.ops.prim.device.default:
                with self:
                    answer = func.decompose(*args, **named)
                if answer is not NotImplemented:
                    return answer
            answer = func(*args, **named)
            macs = _macs(func, args, named, answer)
            if macs is None:
                found.uncounted[operator_name(func)] += 1
            else:
                found.macs += macs
            return answer

    with Watch():  # type: ignore[no-untyped-call]
        yield found


def _macs(func: Any, args: Sequence[Any], named: dict[str, Any], answer: Any) -> int | None:
    """Return the multiply-accumulates of one operator that ran; None if they cannot be counted.

    One of complex numbers is four of real ones.
    """
    from torch.utils.flop_counter import flop_registry

    formula = FORMULAS.get(_full_name(func))
    theirs = flop_registry.get(func.overloadpacket)
    try:
        if formula is not None:
            return formula(_shapes(args), _shapes(answer)) * _reals(answer)
        if theirs is not None:
            return int(theirs(*args, **named, out_val=answer)) // 2 * _reals(answer)
    except (TypeError, ValueError, IndexError, AttributeError, AssertionError, RuntimeError):
        # Other arguments than the formula's, or sizes that differ within a nested tensor.
        return None
    return 0 if is_free(func) else None


def _reals(answer: Any) -> int:
    """Return how many real multiply-accumulates one of an operator's answer is."""
    import torch

    return 4 if isinstance(answer, torch.Tensor) and answer.is_complex() else 1


def _shapes(values: Any) -> Any:
    import torch
    from torch.utils._pytree import tree_map_only

    return tree_map_only(torch.Tensor, lambda one: tuple(one.shape), values)


def is_free(func: Any) -> bool:
    """Return whether it is known that an operator multiplies and accumulates nothing."""
    import torch

    name = func.overloadpacket.__name__.rstrip("_")
    if func.namespace in ("aten", "prim"):
        pointwise = torch.Tag.pointwise in func.tags or name.startswith("_foreach_")
        return name not in TOLD and bool(pointwise or func.is_view or name in NO_MACS)
    if func.namespace == "profiler":  # marks that a user's code sets
        return True
    if func.namespace == "quantized":
        return name in _NO_MACS_QUANTIZED
    return func.namespace == "torchvision" and name in _NO_MACS_BOXES


def operator_name(func: Any) -> str:
    """Return `fft_r2c`, or `torchvision::deform_conv2d` for what is not one of torch's own."""
    name = str(func.overloadpacket.__name__)
    return name.lstrip("_") if func.namespace == "aten" else f"{func.namespace}::{name}"


def _full_name(func: Any) -> str:
    """Return the name by which `FORMULAS` knows an operator."""
    name = str(func.overloadpacket.__name__).removesuffix("_")
    return name if func.namespace == "aten" else f"{func.namespace}::{name}"
