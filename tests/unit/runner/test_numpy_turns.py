"""What NumPy's BLAS is worth: by processes that really multiply, and by ones that cannot."""

from __future__ import annotations

import sys

import pytest

from perfsuite.libraries.vectors import vectors_of
from perfsuite.processor import read_processor
from perfsuite.runner import numpy_turns
from perfsuite.runner.numpy_turns import numpy_worths, switches_of

AVX512 = ("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx2", "avx", "sse2")


def names(blas: str, flags: tuple[str, ...], threads: int) -> list[str]:
    return [one.name for one in switches_of(blas, flags, threads)]


def test_what_can_be_done_to_a_blas_follows_from_it_and_from_the_processor() -> None:
    capped = ["openblas-haswell", "openblas-sandybridge"]
    assert names("OpenBLAS", AVX512, 2) == ["numpy-loops", *capped, "one-thread"]
    assert names("OpenBLAS", ("avx2", "avx", "sse2"), 1) == ["numpy-loops", capped[1]]
    assert names("OpenBLAS", ("asimd",), 1) == ["numpy-loops"]
    assert names("MKL", AVX512, 2) == ["numpy-loops", "one-thread"]
    assert names("none", AVX512, 2) == ["numpy-loops"]


def test_a_product_takes_longer_without_the_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    flags = read_processor().flags
    found = numpy_worths(flags, 1, rounds=2, slices=1)
    assert not isinstance(found, str), found
    loops = found[0]
    assert (loops.cell, loops.switch, loops.status) == ("NumPy", "numpy-loops", "ok")
    assert loops.ran_after == "its own loops" and loops.ran_before.startswith(loops.library)
    assert loops.seen and loops.times_as_long is not None
    if loops.library == "OpenBLAS" and (vectors_of(flags) or 0) > 2:
        capped = next(one for one in found if one.switch == "openblas-haswell")
        assert capped.seen and "Haswell kernels" in capped.ran_after


def test_a_process_that_crashes_is_named_and_the_others_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = (
        "import os, sys\n"
        "if os.environ.get('OPENBLAS_CORETYPE') or 'loops' in sys.argv: os.abort()\n"
        "print('OpenBLAS 1, Zen kernels', flush=True)\n"
        "for _ in sys.stdin: print(2.0 - bool(os.environ.get('OPENBLAS_NUM_THREADS')), flush=True)"
    )
    monkeypatch.setattr(numpy_turns, "_PROGRAM", (sys.executable, "-c", program))
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    found = numpy_worths(("avx2", "avx", "sse2"), 2, rounds=3)
    assert not isinstance(found, str), found
    loops, capped, single = found
    for one in (loops, capped):
        assert (one.status, one.reason) == ("failed", "its process died by SIGABRT")
    assert single.status == "ok" and single.seen is False
    assert single.times_as_long is not None and single.times_as_long.value == pytest.approx(0.5)


def test_without_numpys_product_it_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_turns, "_PROGRAM", (sys.executable, "-c", "raise SystemExit(3)"))
    assert numpy_worths((), 1) == "its process ended with exit code 3"
