"""Which library NumPy and PyTorch multiply matrices with.

NumPy's is looked up as the dynamic linker does: by the symbol that NumPy calls, and the file that
this symbol lies in. So a library that is put in front (LD_PRELOAD) shows. PyTorch says what it was
built with.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.mapped import pools, torch_build

# The single-precision product as NumPy's builds call it, the one of its own wheels first.
_SYMBOLS = (
    "scipy_cblas_sgemm64_",
    "scipy_cblas_sgemm",
    "cblas_sgemm64_",
    "cblas_sgemm",
)
# By what stands in the path of a file, also of one that is a link: Debian's libblas.so.3 is one.
_FILES = (
    ("openblas", "OpenBLAS"),
    ("mkl", "MKL"),
    ("blis", "BLIS"),
    ("flexiblas", "FlexiBLAS"),
    ("atlas", "ATLAS"),
    ("armpl", "Arm Performance Libraries"),
    ("nvpl", "NVPL"),
    ("accelerate", "Accelerate"),
    ("blas", "reference BLAS"),
)
_INTERNAL = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS", "flexiblas": "FlexiBLAS"}
_MKL = re.compile(r"Math Kernel Library Version (\d+\.\d+)")
_BUILT = {"open": "OpenBLAS", "flame": "BLIS", "flexi": "FlexiBLAS", "accelerate": "Accelerate"}


class _Symbol(ctypes.Structure):
    """What dladdr(3) tells of an address."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def blas(objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield NumPy's, as observed, and PyTorch's, if it is imported, as reported."""
    if (path := file_of_numpys()) is not None:
        yield EvidenceItem("observed", "blas", "NumPy", _words(path, pools()))
    elif (text := _said_by_numpy()) is not None:
        yield EvidenceItem("reported", "blas", "NumPy", text)
    if text := torch_blas(torch_build()):
        yield EvidenceItem("reported", "blas", "PyTorch", text)


def file_of_numpys() -> Path | None:
    """Return the file with the product that NumPy calls; None where that cannot be found out."""
    module = sys.modules.get("numpy._core._multiarray_umath") or sys.modules.get(
        "numpy.core._multiarray_umath"
    )
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    try:
        everything, own = ctypes.CDLL(None), ctypes.CDLL(file)
        dladdr = everything.dladdr
    except (AttributeError, OSError, TypeError):  # on a system without dlopen(3)
        return None
    for symbol in _SYMBOLS:
        # What is visible to all comes before what NumPy is linked with.
        found = getattr(everything, symbol, None) or getattr(own, symbol, None)
        if found is None:
            continue
        told = _Symbol()
        if dladdr(ctypes.cast(found, ctypes.c_void_p), ctypes.byref(told)) and told.file:
            path = Path(told.file.decode(errors="replace"))
            if path != Path(file):
                return path
    return None


def _words(path: Path, known: Sequence[Mapping[str, Any]]) -> str:
    """Return such as `OpenBLAS 0.3.29, SkylakeX kernels, 2 threads`, as far as it is `known`."""
    real = path.resolve()
    for pool in known:
        name = _INTERNAL.get(str(pool.get("internal_api", "")))
        if name and Path(str(pool.get("filepath", ""))).resolve() == real:
            threads = int(pool["num_threads"])
            core = pool.get("architecture")
            parts = (
                " ".join(filter(None, [name, str(pool.get("version") or "")])),
                f"{core} kernels" if core else "",
                f"{threads} thread{'s' * (threads != 1)}",
            )
            return ", ".join(filter(None, parts))
    where = f"{real.parent.name}/{path.name}/{real.name}".lower()
    name = next((name for word, name in _FILES if word in where), "")
    return f"{name} ({real.name})" if name else real.name


def _said_by_numpy() -> str | None:
    """Return the library of NumPy's build, or `none`; None where it does not tell."""
    import numpy as np

    try:
        said = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return str(said["name"]) if said.get("found", True) else "none"
    except (KeyError, TypeError, AttributeError, ImportError):  # another form of another version
        return None


def torch_blas(build: str) -> str:
    """Return torch's library by its text on its build, `none` without one; '' without the text."""
    if "Build settings:" not in build:
        return ""
    found = re.search(r"\bBLAS_INFO=(\w+)", build)
    if found is None:
        return "none"
    if found[1].lower() == "mkl":
        version = _MKL.search(build)
        return f"MKL {version[1]}" if version else "MKL"
    return _BUILT.get(found[1].lower(), found[1])
