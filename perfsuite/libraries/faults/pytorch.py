"""Faults of PyTorch itself: built without a BLAS, or copying what lies badly in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts

TITLE = "PyTorch"


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield a torch without its BLAS, and layouts that are changed in each call."""
    blas = facts.said("blas").get(TITLE)
    if blas is not None and blas.lower() in ("none", "generic", "reference blas"):
        yield Finding(
            "torch-without-blas",
            TITLE,
            f"this torch has no fast library for matrix products (it was built with {blas} BLAS)",
            "pip install --force-reinstall torch: the wheels of pytorch.org have MKL, OpenBLAS on "
            "ARM",
            "reported",
        )
    yield from _copied(facts)


def _copied(facts: Facts) -> Iterator[Finding]:
    """Yield convolutions that are given what lies in no usual order: a fault of half or more."""
    for item in facts.evidence.items:
        if item.about != "layout" or not item.name.startswith("convolution"):
            continue
        counts = {word: int(number) for number, word in re.findall(r"(\d+) ([\w-]+)", item.value)}
        odd, total = counts.get("neither", 0), sum(counts.values())
        if odd:
            what = item.name.removeprefix("convolution ")
            yield Finding(
                "layout-copied",
                facts.runtime or TITLE,
                f"the {what} of {odd} of {total} convolutions lie neither in order nor channels "
                f"last in memory, and are copied in each call",
                f"make the {what} contiguous where they arise: .contiguous() on what is cut, "
                f"transposed or flipped, or cut it along the first dimension",
                item.how,
                "fault" if 2 * odd >= total else "caution",
            )
