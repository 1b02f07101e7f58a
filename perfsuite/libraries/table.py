"""The libraries by name, and the evidence of those that are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries import (
    cudnn,
    mkl,
    onednn,
    onnxruntime,
    openblas,
    openmp,
    openvino,
    pytorch,
    tbb,
)
from perfsuite.libraries.mapped import shared_objects

LIBRARIES: dict[str, Callable[[Sequence[str]], Iterable[EvidenceItem]]] = {
    "cudnn": cudnn.find,
    "mkl": mkl.find,
    "onednn": onednn.find,
    "onnxruntime": onnxruntime.find,
    "openblas": openblas.find,
    "openmp": openmp.find,
    "openvino": openvino.find,
    "pytorch": pytorch.find,
    "tbb": tbb.find,
}


def loaded() -> tuple[EvidenceItem, ...]:
    """Return the libraries in this process: files as observed, versions and threads as reported.

    Files have no folder, so that no path of this machine is in the evidence.
    """
    objects = shared_objects()
    return tuple(item for find in LIBRARIES.values() for item in find(objects))
