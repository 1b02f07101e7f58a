"""Which instructions kernels are compiled for: those that Numba takes for this process."""

from __future__ import annotations

from functools import cache


@cache
def features() -> frozenset[str]:
    """Return the processor's features, in LLVM's names, that Numba compiles for.

    They are those of this processor, unless the environment variables NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES name others.
    """
    from numba.core.registry import cpu_target

    codegen = cpu_target.target_context.codegen()
    listed = str(codegen._tm_features).split(",")
    return frozenset(one[1:] for one in listed if one.startswith("+"))


def counts_words() -> bool:
    """Tell whether one instruction counts the bits of whole words of a vector."""
    return "avx512vpopcntdq" in features()


def instruction_set() -> str:
    """Return by which instructions bits are counted."""
    found = features()
    if counts_words():
        return "AVX-512 VPOPCNTDQ"
    if "avx512bw" in found:
        return "AVX-512"
    if "avx2" in found:
        return "AVX2"
    return "NEON" if "neon" in found else "plain"


def binary_blocks() -> tuple[tuple[int, int], ...]:
    """Return how many pixels and vectors of 8 channels are summed up in registers at once.

    AVX-512 has 32 registers, AVX2 has 16 of half the size. The sizes are for rows of 8 pixels and
    more, and for what is left of them.
    """
    if counts_words():
        return (8, 2), (4, 4), (2, 8), (1, 8)
    return (4, 1), (2, 2), (1, 4), (1, 4)


def real_blocks() -> tuple[tuple[int, int], ...]:
    """Return the same for real numbers, in vectors of 16 channels."""
    if "avx512f" in features():
        return (4, 4), (2, 4), (1, 4)
    return (4, 1), (2, 2), (1, 4)
