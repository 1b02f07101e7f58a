"""cuDNN: mapped by any PyTorch built for CUDA, even if none of its kernels runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import observed


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its file."""
    yield from observed("cuDNN", r"libcudnn\.", objects)
