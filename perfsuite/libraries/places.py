"""Where processes with a switch answer as another processor would: which one, and how."""

from __future__ import annotations

from typing import NamedTuple

from perfsuite.libraries.switches import SWITCHES, switch_named

EMULATED = "qemu-haswell"
# Those that keep an engine from adding 8-bit products in 32 bits; in their processes sums overflow.
# Also the first processors with AVX-512 lack VNNI.
CAPPED = ("onednn-avx512", "onednn-avx2")


class Place(NamedTuple):
    """The best instruction set of another processor, and by what a process is kept to it."""

    where: str
    by: str


_PLACES = {
    "onednn-avx512": Place("AVX-512 without VNNI", "oneDNN capped"),
    "onednn-avx2": Place("AVX2", "oneDNN capped"),
    "qemu-haswell": Place("AVX2", "emulated Haswell"),
}


def place_of(switch: str) -> Place:
    """Return the place of a switch; of another than these, its library and what is done to it."""
    if switch in _PLACES:
        return _PLACES[switch]
    found = switch_named(switch)
    return Place(found.title, found.library)


def without_vnni(runtime: str) -> tuple[str, ...]:
    """Return the switches by which a runtime answers as on processors without VNNI.

    A runtime with oneDNN heeds its cap; any other is emulated.
    """
    capped = tuple(name for name in CAPPED if runtime in SWITCHES[name].runtimes)
    return capped or (EMULATED,)
