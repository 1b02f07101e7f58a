"""What kernels multiply in, and whose they are, by names that an H200 reported."""

from __future__ import annotations

import pytest

from perfsuite.runtimes.shared.kernel_names import (
    Launched,
    by_library,
    kernel_items,
    library_of,
    operator_precision,
    precision_of,
    short,
)

GEMV = "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float, float>(int)"
NHWC = "void cudnn::engines_precompiled::nchwToNhwcKernel<float, float, float, false, true>(int)"
TF32 = "sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize64x64x32_g1"
IM2COL = "void at::native::im2col_kernel<float>(long, float const*, long)"


@pytest.mark.parametrize(
    ("name", "dtype", "precision"),
    [
        ("sm80_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nchwkcrs_nchw_ffma", "float", "float"),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_256x128_8x4_nn_align1>", "float", "float"),
        ("void convolve_common_engine_float_NHWC<float, float, 1024, 5, 5>", "float", "float"),
        ("maxwell_scudnn_winograd_128x128_ldg1_ldg4_tile148n_nt", "float", "float"),
        (TF32, "float", "tf32"),
        ("sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32_nhwckrsc_nchw", "float", "tf32"),
        ("void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_256x64_32x3>", "float", "tf32"),
        ("nvjet_sm90_sss_128x8", "float", "tf32"),
        ("sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc", "c10::Half", "fp16"),
        ("void implicit_convolve_sgemm<__half, __half, 1024, 5, 5>", "c10::Half", "fp16"),
        ("cutlass_75_tensorop_f16_s1688gemm_f16_64x64_nn_align1", "c10::Half", "fp16"),
        ("nvjet_sm90_hsh_128x8_64x12_2x1_v_bz_splitK_bias_TNT", "c10::Half", "fp16"),
        ("volta_h884gemm_128x64_ldg8_tn", "c10::Half", "fp16"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32", "c10::BFloat16", "bf16"),
        ("cutlass_75_tensorop_bf16_s1688gemm_bf16_64x64_nn_align1", "c10::BFloat16", "bf16"),
        ("nvjet_sm90_tst_64x8_64x16_4x1_v_bz_splitK_bias_TNT", "c10::BFloat16", "bf16"),
        ("a name of the future", "c10::Half", "c10::Half"),
    ],
)
def test_the_name_of_a_kernel_tells_what_it_multiplies_in(
    name: str, dtype: str, precision: str
) -> None:
    assert precision_of(name, dtype) == precision


def test_an_operator_has_the_precision_of_its_products() -> None:
    assert operator_precision(Launched("cudnn_convolution", "float", (NHWC, TF32))) == "tf32"
    assert operator_precision(Launched("addmm", "float", (GEMV,))) == "float"
    halves = "void at::native::copy_kernel<c10::Half, float>(int)"
    assert operator_precision(Launched("to", "float", (halves,))) == "float", "it only moves data"


def test_kernels_are_counted_by_the_library_that_they_are_of() -> None:
    ran = [
        Launched("cudnn_convolution", "float", ("Memset (Device)", NHWC, TF32)),
        Launched("cudnn_convolution", "float", (TF32,)),
        Launched("_slow_conv2d_forward", "float", (IM2COL, "cutlass_80_simt_sgemm")),
        Launched("addmm", "float", (GEMV,)),
    ]
    found = by_library(ran)
    assert {name: times.total() for name, times in found.items()} == {
        "cuDNN": 3,
        "PyTorch": 1,
        "cuBLAS": 2,
    }
    items = {item.name: item for item in kernel_items(ran)}
    assert items["cuDNN"].how == "observed"
    assert items["reorders"].value == "1 in a call"
    assert items["cuDNN"].value == (
        f"3 kernels: {TF32} (2), cudnn::engines_precompiled::nchwToNhwcKernel (1)"
    )


@pytest.mark.parametrize(
    ("operator", "kernel", "library"),
    [
        ("Conv", TF32, "cuDNN"),  # as other engines than PyTorch call the operator
        ("Conv", "void cutlass::Kernel2<cutlass_80_tensorop_s1688fprop_optimized_tf32>", "cuDNN"),
        ("_cudnn_rnn", "void RNN_blockPersist_fp_LSTM<float, float, 256>(int)", "cuDNN"),
        ("_flash_attention_forward", "void pytorch_flash::flash_fwd_kernel<cutlass::half_t>", "me"),
        ("_efficient_attention_forward", "fmha_cutlassF_f16_aligned_64x64_rf_sm80", "me"),
        ("addmm", "nvjet_sm90_tst_128x64_64x9_1x2_h_bz_TNT", "cuBLAS"),
    ],
)
def test_whose_a_kernel_is_follows_from_its_name(operator: str, kernel: str, library: str) -> None:
    assert library_of(Launched(operator, "float", (kernel,)), kernel, "me") == library


def test_names_are_shown_without_types() -> None:
    assert short(GEMV) == "internal::gemvx::kernel"
    assert short(IM2COL) == "at::native::im2col_kernel"
    assert short(TF32) == TF32


def test_more_kernels_than_are_shown_are_counted() -> None:
    ran = [Launched("cudnn_convolution", "float", tuple(f"cudnn_{i}" for i in range(5)))]
    item, layout = kernel_items(ran)
    assert item.value.endswith(" and 2 more")
    assert (layout.name, layout.value) == ("reorders", "0 in a call")
    assert kernel_items([]) == ()
