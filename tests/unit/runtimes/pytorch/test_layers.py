"""Whose kernel a layer has is told by its lines, and concluded where there are none."""

from __future__ import annotations

import pytest
from torch import nn
from verbose_lines import CONVOLUTION, MATMUL, MKL_FOR, PRODUCT, REORDER

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import EvidenceItem
from perfsuite.runtimes.pytorch.layers import (
    card_layers,
    layer_kernels,
    seen_items,
    weights_item,
)
from perfsuite.runtimes.pytorch.marked_call import Layer, Watched
from perfsuite.runtimes.shared.denormals import Share
from perfsuite.runtimes.shared.kernel_names import Launched

BUILD = (
    "  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605\n"
    "  - Intel(R) MKL-DNN v3.12.0\n  - Build settings: BLAS_INFO=mkl, USE_MKLDNN=1, "
)
ARM = "  - Build settings: BLAS_INFO=open, USE_MKLDNN=1, "
BARE = "  - Build settings: BUILD_TYPE=Release, USE_MKLDNN=0, "
BOTH = ("oneDNN", "MKL")


def layer(
    path: str, operator: str = "conv2d", *lines: str, dtype: str = "float32", of: str = "aten"
) -> Layer:
    layouts = ("contiguous", "contiguous") if operator == "conv2d" else ()
    return Layer(path, operator, of, dtype, lines, (), layouts)


def kernels(
    *layers: Layer,
    build: str = BUILD,
    speaking: tuple[str, ...] = BOTH,
    lines: tuple[str, ...] = (),
) -> list[LayerKernel]:
    seen = Watched(list(layers), list(lines), list(speaking), [])
    return list(layer_kernels(seen, "AVX2", build))


def test_the_last_primitive_that_moves_no_data_is_the_layers() -> None:
    (found,) = kernels(layer("a", "conv2d", REORDER, CONVOLUTION, REORDER))
    assert found == LayerKernel("a", "conv2d", "jit_dw:avx512_core", "oneDNN", "AVX-512", "fp32")


def test_a_convolution_may_be_a_product_of_mkl_whose_set_is_that_of_its_first_line() -> None:
    (found,) = kernels(layer("a", "conv2d", PRODUCT))
    assert found == LayerKernel("a", "conv2d", "SGEMM", "MKL", "", "fp32")
    wide = "Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) enabled processors, Lnx 2GHz"
    (found,) = kernels(layer("a", "conv2d", PRODUCT), lines=(f"{MKL_FOR}{wide}",))
    assert found.instruction_set == "AVX-512"


def test_precision_is_the_primitives_and_else_the_tensors() -> None:
    (found,) = kernels(layer("a", "linear", MATMUL))
    assert (found.precision, found.instruction_set) == ("bf16", "AVX-512 bf16")
    (found,) = kernels(layer("a", "mm", "MKL_VERBOSE cblas_something(1)", dtype="float64"))
    assert (found.library, found.precision) == ("MKL", "fp64")


@pytest.mark.parametrize(
    ("build", "speaking", "operator", "library", "level"),
    [
        (BUILD, BOTH, "bmm", "PyTorch", "AVX2"),
        (BUILD, ("MKL",), "bmm", "", ""),  # oneDNN may have done it, and could not say so
        (BUILD, (), "conv2d", "", ""),
        (ARM, ("oneDNN",), "mm", "OpenBLAS", ""),
        (ARM, ("oneDNN",), "conv2d", "PyTorch", "AVX2"),
        (BARE, (), "mm", "PyTorch", "AVX2"),
        ("", (), "mm", "PyTorch", "AVX2"),
    ],
)
def test_what_nobody_speaks_of_is_concluded(
    build: str, speaking: tuple[str, ...], operator: str, library: str, level: str
) -> None:
    (found,) = kernels(layer("a", operator), build=build, speaking=speaking)
    assert found == LayerKernel("a", operator, operator, library, level, "fp32", "inferred")


def test_lines_that_nobody_understands_are_no_lines() -> None:
    (found,) = kernels(layer("a", "mm", "onednn_verbose,v9,new form"))
    assert (found.library, found.how) == ("PyTorch", "inferred")


def test_an_operator_of_others_is_theirs() -> None:
    (found,) = kernels(layer("a", "deform_conv2d", of="torchvision"))
    assert (found.library, found.how) == ("torchvision", "inferred")


def test_names_are_paths_and_stay_apart() -> None:
    several = [layer("a"), layer("b"), layer("b", "mm"), layer("b"), layer("", "mm")]
    names = [one.layer for one in kernels(*several)]
    assert names == ["a", "b/conv2d", "b/mm", "b/conv2d_1", "mm"]


def test_items_tell_layouts_reorders_and_denormals() -> None:
    layers = [layer("a", "conv2d", REORDER, CONVOLUTION, REORDER), layer("b", "linear", PRODUCT)]
    odd = layer("c", "conv2d")._replace(layouts=("neither", "channels-last"))
    header = "onednn_verbose,v1,info,cpu,isa:Intel AVX2"
    seen = Watched([*layers, odd], [header], list(BOTH), [Share("a", 1, 4)])
    assert list(seen_items(seen)) == [
        EvidenceItem("reported", "dispatch", "oneDNN", "Intel AVX2"),
        EvidenceItem(
            "observed", "layout", "convolution inputs", "1 contiguous, 0 channels-last, 1 neither"
        ),
        EvidenceItem(
            "observed", "layout", "convolution weights", "1 contiguous, 1 channels-last, 0 neither"
        ),
        EvidenceItem("observed", "layout", "oneDNN", "1 blocked, 0 channels-last, 0 plain"),
        EvidenceItem("observed", "layout", "reorders", "2 in a call"),
        EvidenceItem(
            "observed", "denormals", "answers of layers", "1 of 4 values; most in a: 1 of 4"
        ),
    ]
    (only,) = seen_items(Watched([layer("b", "mm")], [], [], []))
    assert only.value == "0 of 0 values"


def test_weights_and_buffers_are_looked_through() -> None:
    import torch

    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        net[0].weight.fill_(1e-40)
        net[1].running_var.fill_(1e-39)
    assert weights_item(net).value == "6 of 14 values; most in 0.weight: 4 of 4"


def test_on_a_card_names_of_kernels_tell_whose_layers_are() -> None:
    nhwc = "void cudnn::engines_precompiled::nchwToNhwcKernel<float, float>(int)"
    tensor_core = "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc"
    ran = [
        Launched("copy_", "float", ("Memcpy HtoD",)),
        Launched("cudnn_convolution", "c10::Half", ("Memset", nhwc, tensor_core, nhwc), "stem"),
        Launched("relu", "float", ("void at::native::vectorized<4>",), "stem"),
        Launched("_slow_conv2d_forward", "float", ("void at::native::im2col_kernel<float>",), "b"),
        Launched("addmm", "float", ("Memset", "nvjet_sm90_sss_128x8"), "head"),
        Launched("mm", "float", ("Memset (Device)",), "nothing"),
    ]
    assert card_layers(ran) == (
        LayerKernel("stem", "cudnn_convolution", tensor_core, "cuDNN", "", "fp16"),
        LayerKernel(
            "b", "_slow_conv2d_forward", "at::native::im2col_kernel", "PyTorch", "", "fp32"
        ),
        LayerKernel("head", "addmm", "nvjet_sm90_sss_128x8", "cuBLAS", "", "tf32"),
    )
