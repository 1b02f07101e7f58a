"""OpenBLAS: NumPy's matrix products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import observed, thread_pools


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its files, versions and threads."""
    yield from observed("OpenBLAS", r"lib\w*openblas", objects)
    yield from thread_pools("OpenBLAS", "openblas")
