"""ONNX Runtime, whose own kernels (MLAS) are inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import module_version, observed


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its files and version."""
    found = list(
        observed("ONNX Runtime", r"onnxruntime_pybind11_state\.|libonnxruntime\.", objects)
    )
    yield from found
    if found:
        yield from module_version("ONNX Runtime", "onnxruntime")
