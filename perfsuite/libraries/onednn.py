"""oneDNN: convolutions and matrix products; usually linked into its users, without a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import observed, torch_build


def find(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield its file, the version inside PyTorch, and its presence inside OpenVINO."""
    yield from observed("oneDNN", r"libdnnl\.|libmkldnn\.", objects)
    if version := re.search(r"MKL-DNN v(\S+)", torch_build()):
        yield EvidenceItem("reported", "version", "oneDNN", f"{version[1]} inside PyTorch")
    if any(name.startswith("libopenvino_intel_cpu_plugin.") for name in objects):
        yield EvidenceItem("inferred", "library", "oneDNN", "inside OpenVINO's CPU plug-in")
