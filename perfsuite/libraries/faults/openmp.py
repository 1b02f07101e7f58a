"""Faults of OpenMP runtimes: two in one process have a pool of threads each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts, listed

TITLE = "OpenMP"
_KINDS = {"GNU": r"libgomp", "Intel": r"libiomp5", "LLVM": r"libomp"}


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield two runtimes in one process: a fault if they are of two makers, else a caution."""
    files = sorted(set(facts.files(TITLE)))
    kinds = {kind for kind, name in _KINDS.items() for file in files if re.match(name, file)}
    copies = max(len(files), _pools(facts))
    if copies < 2:
        return
    words = listed(files) if len(files) > 1 else f"{copies} copies of {listed(files)}"
    mixed = len(kinds) > 1
    yield Finding(
        "two-openmp-runtimes",
        TITLE,
        f"the process has {copies} OpenMP runtimes ({words}), each with its own threads: they "
        f"compete for the cores"
        + (", and two makers' may end in a crash or a deadlock" if mixed else ""),
        "have one: install the packages that bring them from one source (all from pip, or all from "
        "conda-forge with `_openmp_mutex`), import none that the model does not need, and look "
        "that LD_PRELOAD names none",
        "observed",
        "fault" if mixed else "caution",
    )


def _pools(facts: Facts) -> int:
    """Return how many pools report their threads; two files may have one name."""
    return sum(
        item.about == "threads" and item.name == TITLE and item.how == "reported"
        for item in facts.evidence.items
    )
