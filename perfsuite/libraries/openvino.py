"""OpenVINO and its plug-in for the processor, which is loaded only when it compiles a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import module_version, observed


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its files and version."""
    found = list(observed("OpenVINO", r"libopenvino(_intel_cpu_plugin)?\.", objects))
    yield from found
    if found:
        yield from module_version("OpenVINO", "openvino")
