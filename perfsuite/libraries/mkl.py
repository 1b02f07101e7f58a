"""Intel MKL: matrix products; PyTorch's wheels carry it inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import observed, thread_pools, torch_build


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its files, the version inside PyTorch, and its threads."""
    yield from observed("MKL", r"libmkl_(rt|core)\.", objects)
    if version := re.search(r"Math Kernel Library Version (\S+)", torch_build()):
        yield EvidenceItem("reported", "version", "MKL", f"{version[1]} inside PyTorch")
    yield from thread_pools("MKL", "mkl")
