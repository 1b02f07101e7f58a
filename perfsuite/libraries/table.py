"""The libraries by name: how each shows in a process, and what can be seen of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points

from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import ConfigError
from perfsuite.libraries.blas import blas
from perfsuite.libraries.cublas import CUBLAS
from perfsuite.libraries.cudnn import CUDNN
from perfsuite.libraries.mapped import not_preloaded, not_seen, shared_objects
from perfsuite.libraries.mkl import MKL
from perfsuite.libraries.onednn import ONEDNN
from perfsuite.libraries.onnxruntime import MLAS, ONNX_RUNTIME
from perfsuite.libraries.openblas import BLIS, OPENBLAS
from perfsuite.libraries.openmp import OPENMP
from perfsuite.libraries.openvino import OPENVINO
from perfsuite.libraries.pytorch import PYTORCH
from perfsuite.libraries.settings import settings
from perfsuite.libraries.tbb import TBB
from perfsuite.libraries.tensorrt import TENSORRT
from perfsuite.plugins import GROUPS
from perfsuite.user_code import user_code

LIBRARIES: dict[str, Callable[[Sequence[str]], Iterable[EvidenceItem]]] = {
    "blas": blas,
    "blis": BLIS,
    "cublas": CUBLAS,
    "cudnn": CUDNN,
    "mkl": MKL,
    "mlas": MLAS,
    "onednn": ONEDNN,
    "onnxruntime": ONNX_RUNTIME,
    "openblas": OPENBLAS,
    "openmp": OPENMP,
    "openvino": OPENVINO,
    "pytorch": PYTORCH,
    "tbb": TBB,
    "tensorrt": TENSORRT,
}


def loaded() -> tuple[EvidenceItem, ...]:
    """Return the libraries in this process: files as observed, versions and threads as reported.

    With them come the environment variables that decide about instruction sets and threads.

    Files have no folder, so that no path of this machine is in the evidence. Libraries that
    installed packages know (entry points `perfsuite.libraries`) follow those of the table. Raises
    `ConfigError` where one of these fails.
    """
    objects = shared_objects()
    found = [item for library in LIBRARIES.values() for item in library(objects)]
    found += [*settings(), *not_seen(), *not_preloaded()]
    for point in entry_points(group=GROUPS["library"]):
        found += _found_by(point, objects)
    return tuple(found)


def _found_by(point: EntryPoint, objects: Sequence[str]) -> tuple[EvidenceItem, ...]:
    who = f"library '{point.name}'"
    with user_code(f"{who}: importing {point.value}", ConfigError):
        find = point.load()
    with user_code(f"{who}: looking for it", ConfigError):
        items = tuple(find(objects))
    if not all(isinstance(item, EvidenceItem) for item in items):
        raise ConfigError(f"{who} gives {items!r}; it must yield perfsuite.EvidenceItems")
    return items
