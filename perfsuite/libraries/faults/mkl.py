"""Faults of MKL: on processors of other makers it may take slower kernels."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts, listed
from perfsuite.libraries.vectors import VECTORS, vectors_in, vectors_of

TITLE = "MKL"


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield that MKL says it took a path below what the processor has, where it computes layers."""
    said = facts.said("dispatch").get(TITLE)
    best = vectors_of(facts.flags)
    layers = [one for one in facts.evidence.layers if one.library == TITLE]
    if said is None or best is None or best < 2 or (facts.runtime and not layers):
        return
    taken = vectors_in(said)
    if taken is not None and taken >= min(best, 2):
        return
    if "MKL_ENABLE_INSTRUCTIONS" in facts.said("setting"):
        return  # the cap is told as such
    where = f", where it computes {len(layers)} layers ({listed([one.layer for one in layers])})"
    yield Finding(
        "mkl-slow-path",
        TITLE,
        f"MKL names no instruction set above SSE for this processor (it says '{said}', the "
        f"processor has {VECTORS[best]}){where if layers else ''}",
        "it may be slow on processors that are not Intel's: compare with what does not use it (the "
        "runtimes onnxruntime and openvino, a torch built with OpenBLAS), or have the ablation "
        "say what it is worth here",
        "reported",
        "caution",
    )
