"""The processor's arithmetic of 8-bit integers, on which weights of quantized graphs depend."""

from __future__ import annotations

from typing import Literal

from perfsuite.processor import read_processor

# Instructions that add 8-bit products in 32 bits: VNNI, and its relatives on x86 and ARM.
_EXACT = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})


def weight_bits(features: tuple[str, ...] | None = None) -> Literal[7, 8]:
    """Return how many bits weights may use on a processor with `features`; by default, this one.

    Without such an instruction two 8-bit products are added in 16 bits, which saturate; with 7 bits
    two products always fit.
    """
    known = read_processor().features if features is None else features
    return 8 if _EXACT.intersection(known) else 7
