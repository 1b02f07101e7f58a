"""Environment variables that decide what libraries do, as evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from perfsuite.domain.record import EvidenceItem

# What caps the instruction set of a library, and whose it is.
CAPS = {
    "ONEDNN_MAX_CPU_ISA": "oneDNN",
    "DNNL_MAX_CPU_ISA": "oneDNN",
    "ATEN_CPU_CAPABILITY": "PyTorch",
    "MKL_ENABLE_INSTRUCTIONS": "MKL",
    "MKL_CBWR": "MKL",
    "OPENBLAS_CORETYPE": "OpenBLAS",
}
# What limits threads.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_THREAD_LIMIT")
# What binds threads to cores, maybe several to one.
BINDINGS = ("GOMP_CPU_AFFINITY", "KMP_AFFINITY", "OMP_PLACES")


def settings(environment: Mapping[str, str] = os.environ) -> Iterator[EvidenceItem]:
    """Yield the variables that are set and decide about instruction sets or threads."""
    for name in (*CAPS, *THREADS, *BINDINGS):
        if value := environment.get(name, "").strip():
            yield EvidenceItem("observed", "setting", name, value)
