"""Denormal (subnormal) numbers, which processors multiply many times as slowly as others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from perfsuite.domain.record import EvidenceItem

# The bits of types that are computed with as they are: without the sign, and of the mantissa.
_BITS = {
    "float32": (np.uint32, 0x7FFF_FFFF, 0x007F_FFFF),
    "bfloat16": (np.uint16, 0x7FFF, 0x007F),
    "float64": (np.uint64, 0x7FFF_FFFF_FFFF_FFFF, 0x000F_FFFF_FFFF_FFFF),
}
_CHUNK = 1 << 20


class Share(NamedTuple):
    """How many of a tensor's values are denormal."""

    name: str  # of the tensor or layer
    denormals: int
    values: int


def denormals(name: str, values: np.ndarray, dtype: str = "") -> Share:
    """Return how many of `values` are denormal; none of a type that is not slow with them.

    `dtype` names the type of which `values` are the bits, as NumPy lacks bfloat16.
    """
    bits = _BITS.get(dtype or values.dtype.name)
    if bits is None:
        return Share(name, 0, 0)
    unsigned, magnitude, mantissa = bits
    flat = values.reshape(-1).view(unsigned)
    found = 0
    for begin in range(0, flat.size, _CHUNK):
        part = flat[begin : begin + _CHUNK] & unsigned(magnitude)
        found += int(np.count_nonzero(part)) - int(np.count_nonzero(part > unsigned(mantissa)))
    return Share(name, found, flat.size)


def denormals_item(about: str, shares: Iterable[Share]) -> EvidenceItem:
    """Return what share of all values is denormal, and where most of them are."""
    every = list(shares)
    found, values = sum(one.denormals for one in every), sum(one.values for one in every)
    text = f"{found} of {values} values"
    if found:
        most = max(every, key=lambda one: one.denormals)
        text += f"; most in {most.name}: {most.denormals} of {most.values}"
    return EvidenceItem("observed", "denormals", about, text)
