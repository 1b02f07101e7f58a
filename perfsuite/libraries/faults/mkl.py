"""Faults of MKL: on processors of other makers it takes kernels below what they have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts, listed
from perfsuite.libraries.faults.instruction_sets import caps
from perfsuite.libraries.settings import CAPS
from perfsuite.libraries.vectors import VECTORS, vectors_in, vectors_of

TITLE = "MKL"
# The first version that takes AVX2 on processors that are not Intel's; none takes AVX-512 there.
_WITH_AVX2 = (2020, 1)


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield that MKL names no instruction set for a processor that has more than it takes there.

    That is what it says ("Intel(R) Architecture processors") on processors of other makers.
    """
    said = facts.said("dispatch").get(TITLE)
    best = vectors_of(facts.flags)
    layers = [one for one in facts.evidence.layers if one.library == TITLE]
    if said is None or best is None or (facts.runtime and not layers):
        return
    if vectors_in(said) is not None or "Intel" in facts.environment.must_match.processor:
        return  # it names one
    if TITLE in map(CAPS.get, caps(facts)):
        return  # it was told to take less, which is a finding of its own
    taken = 2 if _version(facts) >= _WITH_AVX2 else 0
    if taken >= best:
        return
    count = f"{len(layers)} {'layer' if len(layers) == 1 else 'layers'}"
    where = f", where it computes {count}: {listed([one.layer for one in layers])}"
    yield Finding(
        "mkl-slow-path",
        TITLE,
        f"MKL takes kernels of {VECTORS[taken]} at most on processors that are not Intel's (it "
        f"says '{said}'), and this one has {VECTORS[best]}{where if layers else ''}",
        "compare with the runtimes onnxruntime and openvino, which multiply without it, or a torch "
        "that is built with OpenBLAS; no setting of MKL changes it",
        "inferred",
        "caution",
    )


def _version(facts: Facts) -> tuple[int, int]:
    """Return the year and the update of the MKL in use; the latest where it does not tell."""
    found = re.search(r"(\d{4})(?:\.(\d+))?", facts.said("version").get(TITLE, ""))
    return (int(found[1]), int(found[2] or 0)) if found else (9999, 0)
