"""Which instruction sets kernels were seen to use: they explain half of the differences in time."""

from __future__ import annotations

import re
from typing import NamedTuple

from perfsuite.domain.record import Evidence

# By the names that engines give to kernels and levels, such as `brgconv_avx512_I8` of OpenVINO and
# `AVX512` of PyTorch. The first that matches is meant: what has AMX in its name also has AVX-512.
_SETS = (
    ("AMX", r"amx"),
    ("AVX-512 VNNI", r"avx512\w*vnni"),
    ("AVX-512", r"avx512|avx10"),
    ("AVX2 VNNI", r"avx2\w*vnni"),
    ("AVX2", r"avx2"),
    ("AVX", r"avx"),
    ("SSE4", r"sse4"),
    ("SVE", r"sve"),
    ("NEON", r"asimd|neon"),
)
_ORDER = [name for name, _ in _SETS]


class InstructionSets(NamedTuple):
    """The instruction sets of a cell's kernels, the strongest first.

    `reported_by` is the library that says so, where no kernel was observed that bears one in its
    name.
    """

    names: tuple[str, ...] = ()
    reported_by: str = ""


def instruction_sets(evidence: Evidence | None) -> InstructionSets:
    """Return what the evidence tells; no names where it tells nothing."""
    items = evidence.items if evidence is not None else ()
    kernels = {_name(one.name) for one in items if (one.how, one.about) == ("observed", "kernel")}
    if observed := _sorted(kernels):
        return InstructionSets(observed)
    for one in items:
        if one.about == "instruction set" and (reported := _sorted({_name(one.value)})):
            return InstructionSets(reported, one.name)
    return InstructionSets()


def _name(text: str) -> str:
    lowered = text.lower()
    return next((name for name, pattern in _SETS if re.search(pattern, lowered)), "")


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names - {""}, key=_ORDER.index))
