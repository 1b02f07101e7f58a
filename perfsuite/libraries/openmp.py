"""OpenMP: PyTorch's threads. Two OpenMP runtimes in one process compete for the cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import observed, thread_pools


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its files (GNU's, LLVM's, Intel's) and threads."""
    yield from observed("OpenMP", r"lib(gomp|omp|iomp5)[-.]", objects)
    yield from thread_pools("OpenMP", "openmp")
