"""Instruction sets are read out of names of kernels and out of what libraries say of themselves."""

from __future__ import annotations

import pytest

from perfsuite.domain.instruction_sets import BASELINE, named, reaches, strongest_first


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("jit:avx512_core", "AVX-512"),
        ("brgconv:avx512_core_vnni", "AVX-512 VNNI"),
        ("brg_matmul:avx512_core_bf16", "AVX-512 bf16"),
        ("brg_matmul:avx512_core_fp16", "AVX-512 fp16"),
        ("brgconv:avx10_1_512_amx", "AMX"),
        ("brgconv_avx512_BF16", "AVX-512"),  # the end is the type of values
        ("conv:any+jit:avx2", "AVX2"),
        ("jit_int8:avx2_vnni", "AVX2 VNNI"),
        ("jit:sse41", "SSE4"),
        ("ref:any", ""),
        ("gemm:jit", ""),
        ("avx512_vnni", "AVX-512 VNNI"),
        ("AVX2", "AVX2"),
        ("Intel AVX-512 with Intel DL Boost and bfloat16 support", "AVX-512 bf16"),
        ("Intel AVX-512 with Intel DL Boost", "AVX-512 VNNI"),
        ("Intel AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions", "AVX-512"),
        ("Intel AVX2", "AVX2"),
        ("Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) enabled", "AVX-512"),
        ("Intel(R) Advanced Vector Extensions 2 (Intel(R) AVX2) enabled", "AVX2"),
        ("Intel(R) Architecture processors", ""),
        *((name, name) for name in ("AVX-512 VNNI", "AVX-512 bf16", "AVX2 VNNI", "AMX", "SVE")),
    ],
)
def test_the_strongest_set_that_a_text_names(text: str, meant: str) -> None:
    assert named(text) == meant


def test_sets_are_ordered_by_strength_and_what_is_none_is_left_out() -> None:
    found = strongest_first(["AVX2", "", "AMX", "AVX2", BASELINE, "AVX-512 VNNI"])
    assert found == ("AMX", "AVX-512 VNNI", "AVX2")


@pytest.mark.parametrize(
    ("found", "wanted", "does"),
    [
        ("AVX-512 VNNI", "AVX-512 VNNI", True),
        ("AMX", "AVX-512 VNNI", True),
        ("AVX-512", "AVX-512 VNNI", False),
        ("AVX-512", "AVX2", True),
        ("AVX-512", "AVX2 VNNI", False),
        ("AVX2", "AVX-512", False),
        ("", "AVX2", False),
        ("AVX2", "", False),
        (BASELINE, "SSE4", False),
        ("AVX-512", "NEON", False),
        ("SVE", "SSE4", False),
        ("SVE", "NEON", True),
    ],
)
def test_a_stronger_set_reaches_what_is_wanted(found: str, wanted: str, does: bool) -> None:
    assert reaches(found, wanted) is does
