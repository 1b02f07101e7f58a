"""Which instruction sets kernels were seen to use: they explain half of the differences in time."""

from __future__ import annotations

from typing import NamedTuple

from perfsuite.domain.instruction_sets import named, strongest_first
from perfsuite.domain.record import Evidence

_NUMPYS = ("OpenBLAS", "BLIS")  # which is loaded with NumPy, and computes no layer of a cell


class InstructionSets(NamedTuple):
    """The instruction sets of a cell's kernels, the strongest first.

    `reported_by` is the library that says so, where no kernel was observed that bears one in its
    name.
    """

    names: tuple[str, ...] = ()
    reported_by: str = ""


def instruction_sets(evidence: Evidence | None) -> InstructionSets:
    """Return what the evidence tells; no names where it tells nothing."""
    if evidence is None:
        return InstructionSets()
    items = evidence.items
    kernels = [named(one.name) for one in items if (one.how, one.about) == ("observed", "kernel")]
    layers = [one.instruction_set for one in evidence.layers if one.how == "observed"]
    if observed := strongest_first([*kernels, *layers]):
        return InstructionSets(observed)
    for one in items:
        if one.about != "instruction set" or one.how == "inferred" or one.name in _NUMPYS:
            continue
        if reported := strongest_first([named(one.value)]):
            return InstructionSets(reported, one.name)
    return InstructionSets()
