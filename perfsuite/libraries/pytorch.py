"""PyTorch's own kernels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import module_version, observed, torch_build


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield the library, its version and the instruction set that its dispatcher chose."""
    found = list(observed("PyTorch", r"libtorch_cpu\.", objects))
    yield from found
    if found:
        yield from module_version("PyTorch", "torch")
        if level := re.search(r"CPU capability usage: (\S+)", torch_build()):
            yield EvidenceItem("reported", "instruction set", "PyTorch", level[1])
