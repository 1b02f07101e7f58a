"""Lines of oneDNN and MKL, as they were printed, are understood; others say nothing."""

from __future__ import annotations

import pytest
from verbose_lines import (
    CONVOLUTION,
    LOWERED,
    MATMUL,
    MKL_FOR,
    OLDER,
    PRODUCT,
    RECURRENT,
    REORDER,
    STAMPED,
)

from perfsuite.domain.record import EvidenceItem
from perfsuite.runtimes.pytorch.verbose_lines import (
    Primitive,
    dispatch_items,
    layout_of,
    primitive_of,
)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (
            CONVOLUTION,
            Primitive("oneDNN", "convolution", "jit_dw:avx512_core", "fp32", "aBcd16b"),
        ),
        (STAMPED, Primitive("oneDNN", "convolution", "jit_dw:avx512_core", "fp32", "aBcd16b")),
        (REORDER, Primitive("oneDNN", "reorder", "jit:uni", "fp32", "abcd")),
        (RECURRENT, Primitive("oneDNN", "rnn", "brgemm:avx512_core", "fp32", "abc")),
        (MATMUL, Primitive("oneDNN", "matmul", "brg_matmul:avx512_core_bf16", "bf16", "ab")),
        (LOWERED, Primitive("oneDNN", "matmul", "brg_matmul:avx512_core_bf16", "bf16", "ab")),
        (OLDER, Primitive("oneDNN", "convolution", "ref:any", "int8", "acdb")),
        (PRODUCT, Primitive("MKL", "SGEMM", "SGEMM", "fp32")),
        (PRODUCT.replace("SGEMM", "DGEMV"), Primitive("MKL", "DGEMV", "DGEMV", "fp64")),
        (PRODUCT.replace("SGEMM", "VSEXP"), Primitive("MKL", "VSEXP", "VSEXP")),
    ],
)
def test_a_line_of_a_call_names_its_kernel(line: str, meant: Primitive) -> None:
    assert primitive_of(line) == meant


@pytest.mark.parametrize(
    "line",
    [
        "",
        "onednn_verbose,v1,info,cpu,runtime:OpenMP,nthr:1",
        "onednn_verbose,v1,primitive,info,template:operation,engine,primitive,implementation",
        CONVOLUTION.replace("exec", "create:cache_miss"),
        "onednn_verbose,v2,a form of the future",
        "onednn_verbose,v1,primitive,exec,cpu",
        f"{MKL_FOR}Intel(R) Architecture processors, Lnx 2.60GHz lp64 gnu_thread",
        "MKL_VERBOSE WARNING: something",
        "a print of the model's",
    ],
)
def test_any_other_line_names_none(line: str) -> None:
    assert primitive_of(line) is None


@pytest.mark.parametrize(
    ("tag", "layout"),
    [
        ("aBcd16b", "blocked"),
        ("abcd", "plain"),
        ("acdb", "channels-last"),
        ("abcde", "plain"),
        ("acdeb", "channels-last"),
        ("abc", "plain"),
        ("acb", "channels-last"),
        ("ab", "plain"),
        ("ba", "plain"),
        ("bacd", "plain"),
        ("a", "plain"),
    ],
)
def test_a_tag_is_told_in_peoples_words(tag: str, layout: str) -> None:
    assert layout_of(tag) == layout


def test_libraries_say_what_they_are_and_found() -> None:
    lines = [
        "onednn_verbose,v1,info,oneDNN v3.12.0 (commit 80afa71049cd69a3df32adcccb623b12cd7baa22)",
        "onednn_verbose,v1,info,cpu,runtime:OpenMP,nthr:2",
        "onednn_verbose,v1,info,cpu,isa:Intel AVX-512 with Intel DL Boost and bfloat16 support",
        "onednn_verbose,v1,info,gpu,runtime:none",
        f"{MKL_FOR}Intel(R) Architecture processors, Lnx 2.60GHz lp64 gnu_thread",
        f"{MKL_FOR}Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2) enabled processors, Lnx",
        CONVOLUTION,
        PRODUCT,
    ]
    wide = "Intel AVX-512 with Intel DL Boost and bfloat16 support"
    narrow = "Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2) enabled processors"
    assert list(dispatch_items(lines)) == [
        EvidenceItem("reported", "version", "oneDNN", "3.12.0"),
        EvidenceItem("reported", "threads", "oneDNN", "2"),
        EvidenceItem("reported", "dispatch", "oneDNN", wide),
        EvidenceItem("reported", "dispatch", "MKL", "Intel(R) Architecture processors"),
        EvidenceItem("reported", "dispatch", "MKL", narrow),
        EvidenceItem("reported", "setting", "MKL CNR", "OFF"),
    ]


@pytest.mark.parametrize(
    ("kind", "implementation", "precision"),
    [
        ("convolution", "jit:avx512_core", "fp32"),
        ("convolution", "brgconv:avx512_core_amx", "bf16"),
        ("matmul", "brg_matmul:avx512_core_bf16", "bf16"),
        ("matmul", "brg_matmul:avx2_vnni_2", "bf16"),
        ("inner_product", "brgemm:avx2", "fp32"),
        ("convolution", "indirect_gemm:acl", "bf16"),
        ("reorder", "jit:blk", "fp32"),
    ],
)
def test_float32_that_may_be_lowered_is_what_the_kernel_takes(
    kind: str, implementation: str, precision: str
) -> None:
    line = (
        f"onednn_verbose,v1,primitive,exec,cpu,{kind},{implementation},forward_training,"
        f"src:f32:a:blocked:aBcd16b::f0 dst:f32:a:blocked:aBcd16b::f0,"
        f"attr-scratchpad:user attr-fpmath:any,alg:convolution_direct,mb1,0.1"
    )
    found = primitive_of(line)
    assert found is not None and found.precision == precision
