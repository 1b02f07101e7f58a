"""Faults of the library that NumPy multiplies matrices with."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts
from perfsuite.libraries.vectors import VECTORS, vectors_of, vectors_of_core

TITLE = "OpenBLAS"
_VARIABLE = "OPENBLAS_CORETYPE"
_INSTALL = "pip install --force-reinstall numpy, whose wheels bring OpenBLAS"


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield slow kernels under NumPy, for the machine alone: engines compute nothing with them."""
    if facts.runtime and not any(one.library == TITLE for one in facts.evidence.layers):
        return
    said = facts.said("blas").get("NumPy")
    if said is None:
        return
    if re.search(r"\b(reference|netlib|none)\b", said, flags=re.IGNORECASE):
        yield Finding(
            "numpy-slow-blas",
            "NumPy",
            f"NumPy multiplies matrices with {said}, which is many times slower than OpenBLAS",
            f"{_INSTALL}; where the system's libblas.so.3 is taken: apt install libopenblas0, and "
            f"look that LD_PRELOAD and LD_LIBRARY_PATH name no other",
            "observed",
        )
    elif found := re.search(r"OpenBLAS.*?,\s*(\w+) kernels", said):
        yield from _core(facts, found[1])


def _core(facts: Facts, core: str) -> Iterator[Finding]:
    taken, best = vectors_of_core(core), vectors_of(facts.flags)
    if taken is None or best is None or taken >= best:
        return
    variable = facts.said("setting").get(_VARIABLE)
    how = f": {_VARIABLE}={variable} asks for them" if variable else ""
    yield Finding(
        "numpy-slow-blas",
        "NumPy",
        f"NumPy's OpenBLAS takes its {core} kernels ({VECTORS[taken]}), and the processor has "
        f"{VECTORS[best]}{how}",
        f"unset {_VARIABLE}" if variable else "pip install --upgrade numpy",
        "reported",
        "fault" if taken == 0 else "caution",
    )
