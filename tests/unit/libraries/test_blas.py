"""NumPy's library is found by the symbol that it calls, and told in words."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries import blas as module
from perfsuite.libraries.blas import _words, blas, file_of_numpys, torch_blas

POOL = {
    "internal_api": "openblas",
    "filepath": "/opt/numpy.libs/libscipy_openblas64_-32a4b2a6.so",
    "version": "0.3.29",
    "architecture": "SkylakeX",
    "num_threads": 2,
}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (POOL["filepath"], "OpenBLAS 0.3.29, SkylakeX kernels, 2 threads"),
        ("/other/libscipy_openblas64_-32a4b2a6.so", "OpenBLAS (libscipy_openblas64_-32a4b2a6.so)"),
        ("/usr/lib/openblas-pthread/libblas.so.3", "OpenBLAS (libblas.so.3)"),
        ("/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0", "reference BLAS (libblas.so.3.11.0)"),
        ("/opt/conda/lib/libmkl_rt.so.2", "MKL (libmkl_rt.so.2)"),
        ("/usr/lib/libblis.so.4", "BLIS (libblis.so.4)"),
        ("/opt/libmine.so", "libmine.so"),
    ],
)
def test_a_file_is_told_as_far_as_it_is_known(path: str, words: str) -> None:
    assert _words(Path(path), [POOL]) == words


def test_what_a_pool_does_not_tell_is_left_out() -> None:
    bare = POOL | {"version": None, "architecture": None, "num_threads": 1, "internal_api": "mkl"}
    assert _words(Path(str(bare["filepath"])), [bare]) == "MKL, 1 thread"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs dlopen(3)")
def test_numpys_own_wheel_is_seen_through() -> None:
    path = file_of_numpys()
    wheels = "scipy-openblas" in str(np.show_config(mode="dicts"))
    if not wheels:
        pytest.skip("this NumPy is no wheel")
    assert path is not None and "openblas" in path.name
    (item,) = [one for one in blas(()) if one.name == "NumPy"]
    assert item.how == "observed" and item.value.startswith("OpenBLAS 0.")
    assert "/" not in item.value


@pytest.mark.parametrize(
    ("config", "value"),
    [
        ({"Build Dependencies": {"blas": {"name": "accelerate", "found": True}}}, "accelerate"),
        ({"Build Dependencies": {"blas": {"name": "", "found": False}}}, "none"),
        ({}, None),
        (None, None),
    ],
)
def test_where_no_symbol_is_found_numpy_says_it(
    monkeypatch: pytest.MonkeyPatch, config: Any, value: str | None
) -> None:
    monkeypatch.setattr(module, "file_of_numpys", lambda: None)
    monkeypatch.setattr(module, "torch_build", lambda: "")
    monkeypatch.setattr(np, "show_config", lambda mode: config)
    wanted = [] if value is None else [EvidenceItem("reported", "blas", "NumPy", value)]
    assert list(blas(())) == wanted


def test_a_system_without_a_dynamic_linker_has_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: object) -> Any:
        raise TypeError(name)

    monkeypatch.setattr(module.ctypes, "CDLL", refuse)
    assert file_of_numpys() is None
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert file_of_numpys() is None


@pytest.mark.parametrize(
    ("build", "text"),
    [
        ("", ""),
        ("Build settings: BLAS_INFO=mkl, X", "MKL"),
        ("Math Kernel Library Version 2024.2-Product\nBuild settings: BLAS_INFO=mkl", "MKL 2024.2"),
        ("Build settings: BLAS_INFO=open, LAPACK_INFO=open", "OpenBLAS"),
        ("Build settings: BLAS_INFO=generic", "generic"),
        ("Build settings: BUILD_TYPE=Release", "none"),
    ],
)
def test_torch_says_what_it_was_built_with(build: str, text: str) -> None:
    assert torch_blas(build) == text
