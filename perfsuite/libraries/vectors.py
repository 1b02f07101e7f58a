"""Instruction sets of x86 by the width of their vectors, whatever names they are given.

Sources: oneDNN's page on dispatching by instruction set (ONEDNN_MAX_CPU_ISA); ATen's DispatchStub
(ATEN_CPU_CAPABILITY); oneMKL's guide (MKL_ENABLE_INSTRUCTIONS); OpenBLAS's driver/others/dynamic.c.
"""

from __future__ import annotations

import re
from collections.abc import Collection

VECTORS = ("SSE", "AVX", "AVX2", "AVX-512")  # each is wider or can do more than the one before
# What libraries need beside the first flag for their kernels of AVX-512.
_AVX512 = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
_VNNI = frozenset(("avx512_vnni", "avx_vnni", "amx_int8"))

# OpenBLAS calls kernels by the processor that they were written for.
_CORES = {
    "SSE": (
        *("katmai", "coppermine", "northwood", "prescott", "banias", "atom", "core2", "penryn"),
        *("dunnington", "nehalem", "athlon", "opteron", "opteron_sse3", "barcelona", "nano"),
        *("bobcat", "generic"),
    ),
    "AVX": ("sandybridge", "bulldozer", "piledriver", "steamroller"),
    "AVX2": ("haswell", "zen", "excavator"),
    "AVX-512": ("skylakex", "cooperlake", "sapphirerapids"),
}

# The values of ONEDNN_MAX_CPU_ISA, in order.
_ONEDNN = (
    *("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"),
    *("AVX512_CORE_BF16", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16"),
)


def vectors_of(flags: Collection[str]) -> int | None:
    """Return the place in `VECTORS` of the best that a processor with `flags` has; None if none."""
    if all(one in flags for one in _AVX512):
        return 3
    found = [place for place, one in enumerate(("sse2", "avx", "avx2")) if one in flags]
    return max(found, default=None)


def vectors_in(text: str) -> int | None:
    """Return the place in `VECTORS` of the best that a text names; None where it names none."""
    found = [
        place
        for place, pattern in enumerate(
            (r"SSE", r"AVX(?![-_ ]?(2|512|10))", r"AVX[-_ ]?2", r"AVX[-_ ]?(512|10)|AMX")
        )
        if re.search(pattern, text, flags=re.IGNORECASE)
    ]
    return max(found, default=None)


def vectors_of_core(name: str) -> int | None:
    """Return the place in `VECTORS` of what OpenBLAS's kernels for a core use; None if unknown."""
    for place, vectors in enumerate(VECTORS):
        if name.lower() in _CORES[vectors]:
            return place
    return None


def has_vnni(flags: Collection[str]) -> bool:
    """Tell whether a processor with `flags` adds products of 8 bits in 32 bits."""
    return not _VNNI.isdisjoint(flags)


def onednn_cap(value: str) -> int | None:
    """Return the place of a value of ONEDNN_MAX_CPU_ISA; None for one that caps nothing."""
    name = value.strip().upper()
    if name.startswith("AVX10"):
        return None if "AMX" in name else _ONEDNN.index("AVX512_CORE_FP16")
    return _ONEDNN.index(name) if name in _ONEDNN else None


def onednn_best(flags: Collection[str]) -> int:
    """Return the place of the best value of ONEDNN_MAX_CPU_ISA for a processor with `flags`."""
    best = _ONEDNN[vectors_of(flags) or 0] if vectors_of(flags) != 3 else "AVX512_CORE"
    for name, flag in (
        ("AVX2_VNNI", "avx_vnni"),
        ("AVX512_CORE_VNNI", "avx512_vnni"),
        ("AVX512_CORE_BF16", "avx512_bf16"),
        ("AVX512_CORE_FP16", "avx512_fp16"),
        ("AVX512_CORE_AMX", "amx_tile"),
    ):
        if flag in flags and _ONEDNN.index(name) > _ONEDNN.index(best):
            best = name
    return _ONEDNN.index(best)


def onednn_has_vnni(cap: int) -> bool:
    """Tell whether oneDNN still adds products of 8 bits in 32 bits under a cap."""
    return "VNNI" in _ONEDNN[cap] or cap > _ONEDNN.index("AVX512_CORE_VNNI")
