"""Kernels of 8 bits whose names do not tell it are seen to use VNNI, or are left as they are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence
from perfsuite.libraries.vectors import has_vnni
from perfsuite.processor import read_processor
from perfsuite.runner.jobs import vnni
from perfsuite.runner.jobs.overflow import Sums
from perfsuite.runner.jobs.vnni import with_vnni
from perfsuite.runtimes.fake.runtime import Fake

CELL = Cell("net", "int8", "openvino")
PLAIN = LayerKernel("head", "Gemm", "gemm_mlas_f32", "MLAS", "", "fp32")
WIDE = LayerKernel("conv", "Convolution", "brgconv_avx512_I8", "oneDNN", "AVX-512", "int8")
NARROW = LayerKernel("stem", "Convolution", "jit_avx2_I8", "oneDNN", "AVX2", "int8")
FLOAT = LayerKernel("last", "Convolution", "brgconv_avx512_f32", "oneDNN", "AVX-512", "fp32")
LAYERS = (PLAIN, WIDE, NARROW, FLOAT)
CODE = """
from perfsuite.domain.cell import Cell
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence
from perfsuite.runner.jobs.vnni import with_vnni
from perfsuite.runtimes.openvino.runtime import OpenVino

one = LayerKernel("conv", "Convolution", "brgconv_avx512_I8", "oneDNN", "AVX-512", "int8")
cell = Cell("net", "int8", "openvino")
print(with_vnni(Evidence(layers=(one,)), OpenVino(), cell).layers[0].instruction_set)
"""


def sets(seen: Sums | None, patch: pytest.MonkeyPatch) -> list[str]:
    patch.setattr(vnni, "sums_of_bytes", lambda *_, **__: seen)
    found = with_vnni(Evidence(layers=LAYERS), Fake(), CELL)
    told = [one.name for one in found.items if one.about == "sums of bytes"]
    names = [one.instruction_set for one in found.layers]
    assert bool(told) is any(one.endswith("VNNI") for one in names)
    return names


def test_sums_that_do_not_overflow_tell_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Sums(overflow=False, kernels=("jit_avx512_I8",))
    assert sets(seen, monkeypatch) == ["", "AVX-512 VNNI", "AVX2 VNNI", "AVX-512"]


@pytest.mark.parametrize(
    "seen",
    [
        None,  # the engine does not take the convolution
        Sums(overflow=True, kernels=("jit_avx512_I8",)),
        Sums(overflow=False, kernels=("brgconv_avx512_f32",)),  # it was not computed in bytes
        Sums(overflow=False, kernels=()),
    ],
)
def test_what_was_not_seen_is_left(seen: Sums | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sets(seen, monkeypatch) == ["", "AVX-512", "AVX2", "AVX-512"]


def test_where_nothing_is_untold_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vnni, "sums_of_bytes", pytest.fail)
    evidence = Evidence(layers=(PLAIN, FLOAT))
    assert with_vnni(evidence, Fake(), CELL) is evidence


@pytest.mark.skipif("avx512_vnni" not in read_processor().flags, reason="needs AVX-512 VNNI")
@pytest.mark.parametrize(("cap", "level"), [("ALL", "AVX-512 VNNI"), ("AVX512_CORE", "AVX-512")])
def test_openvino_itself(cap: str, level: str) -> None:
    assert has_vnni(read_processor().flags)
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": cap},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == level, done.stderr
