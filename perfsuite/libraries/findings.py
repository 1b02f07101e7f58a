"""What is wrong with what ran: the rules of all libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts
from perfsuite.libraries.faults import (
    cards,
    denormals,
    instruction_sets,
    machine,
    mkl,
    onednn,
    onnxruntime,
    openblas,
    openmp,
    pytorch,
)

RULES: tuple[Callable[[Facts], Iterable[Finding]], ...] = (
    onednn.faults,
    pytorch.faults,
    mkl.faults,
    openblas.faults,
    openmp.faults,
    onnxruntime.faults,
    instruction_sets.faults,
    machine.faults,
    denormals.faults,
    cards.faults,
)


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Return all that is wrong, faults before cautions, each once."""
    found = dict.fromkeys(finding for rule in RULES for finding in rule(facts))
    return tuple(sorted(found, key=lambda one: one.severity == "caution"))
