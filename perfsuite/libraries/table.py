"""The libraries by name, and what can be seen of all of them."""

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
    """Return what is loaded in this process: files observed, versions and threads reported.

    Only file names are told, so that nothing names this machine.
    """
    objects = shared_objects()
    return tuple(item for find in LIBRARIES.values() for item in find(objects))
