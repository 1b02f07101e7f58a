"""Slow kernels under NumPy."""

from __future__ import annotations

import pytest
from made_up_facts import AVX2, VNNI, found, item

PRESCOTT = item("setting", "OPENBLAS_CORETYPE", "Prescott")


@pytest.mark.parametrize(
    ("said", "flags", "severity"),
    [
        ("reference BLAS", AVX2, "fault"),
        ("OpenBLAS 0.3.31, Katmai kernels, 2 threads", AVX2, "fault"),
        ("OpenBLAS 0.3.31, Haswell kernels, 2 threads", VNNI, "caution"),
    ],
)
def test_slow_kernels(said: str, flags: tuple[str, ...], severity: str) -> None:
    one = found(item("blas", "NumPy", said), flags=flags)["numpy-slow-blas"]
    assert one.severity == severity and "pip install" in one.fix


def test_the_variable_that_asks_for_them_is_named() -> None:
    said = item("blas", "NumPy", "OpenBLAS 0.3.31, Katmai kernels, 2 threads")
    one = found(said, PRESCOTT)["numpy-slow-blas"]
    assert "OPENBLAS_CORETYPE=Prescott" in one.message and one.fix == "unset OPENBLAS_CORETYPE"


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ("OpenBLAS 0.3.31, SkylakeX kernels, 2 threads", VNNI),
        ("OpenBLAS 0.3.31, Zen kernels, 2 threads", AVX2),
        ("OpenBLAS 0.3.31, neoversev1 kernels, 2 threads", ("asimd",)),
        ("MKL 2024.2, 2 threads", VNNI),
        ("Accelerate", ()),
    ],
)
def test_fast_kernels_are_sound(said: str, flags: tuple[str, ...]) -> None:
    assert found(item("blas", "NumPy", said), flags=flags) == {}


def test_engines_compute_nothing_with_it() -> None:
    said = item("blas", "NumPy", "OpenBLAS 0.3.31, Katmai kernels, 2 threads")
    assert found(said, PRESCOTT, runtime="onnxruntime") == {}
