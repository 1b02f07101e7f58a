"""Instruction sets by the names that people give them, read out of the names of kernels."""

from __future__ import annotations

import re
from collections.abc import Iterable

# By the names that engines and libraries give to kernels and levels, such as `brgconv_avx512_I8`,
# `jit:avx2`, `AVX512`, and what they say of themselves, such as `Intel AVX-512 with Intel DL Boost`
# (which is VNNI). The first that matches is meant: what has AMX in its name also has AVX-512.
_SETS = (
    ("AMX", r"amx"),
    ("AVX-512 fp16", r"avx512_core_fp16|avx-512 with float16"),
    ("AVX-512 bf16", r"avx512_core_bf16|avx-512.*bfloat16"),
    ("AVX-512 VNNI", r"avx512\w*vnni|avx-512.*(dl boost|neural network)"),
    ("AVX-512", r"avx-?512|avx ?10"),
    ("AVX2 VNNI", r"avx2\w*vnni|avx2.*dl boost"),
    ("AVX2", r"avx2|vector extensions 2"),
    ("AVX", r"avx"),
    ("SSE4", r"sse4"),
    ("SVE", r"sve"),
    ("NEON", r"asimd|neon"),
)
_ORDER = [name for name, _ in _SETS]
_OF_ARM = ("SVE", "NEON")
BASELINE = "baseline"  # what every processor of this kind has


def named(text: str) -> str:
    """Return the strongest instruction set that `text` names, such as `AVX2`; '' if it names none.

    `text` is the name of a kernel or of a level, or what a library says of itself. Whoever writes
    `avx512_vnni` in a suite means the same as a kernel that is called so.
    """
    if text in _ORDER:
        return text
    lowered = text.lower()
    return next((name for name, pattern in _SETS if re.search(pattern, lowered)), "")


def strongest_first(names: Iterable[str]) -> tuple[str, ...]:
    """Return different names in the order of their strength; what is no name of a set is left out.

    Those of x86 and of ARM never occur together.
    """
    return tuple(sorted(set(names) & set(_ORDER), key=_ORDER.index))


def reaches(found: str, wanted: str) -> bool:
    """Tell whether the set `found` is `wanted` or has all of it; both as `named` gives them."""
    if found not in _ORDER or wanted not in _ORDER:
        return False
    if (found, wanted) == ("AVX-512", "AVX2 VNNI"):  # the stronger one lacks sums of 8-bit products
        return False
    if (found in _OF_ARM) != (wanted in _OF_ARM):
        return False
    return _ORDER.index(found) <= _ORDER.index(wanted)
