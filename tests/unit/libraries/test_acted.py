"""Whether a switch acted, from the evidence of the processes with it and without."""

from __future__ import annotations

import pytest

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.libraries.acted import Acted, acted
from perfsuite.libraries.switches import SWITCHES


def layers(library: str, instruction_set: str = "", count: int = 2) -> tuple[LayerKernel, ...]:
    return tuple(
        LayerKernel(f"conv{index}", "convolution", "jit", library, instruction_set)
        for index in range(count)
    )


def said(about: str, name: str, value: str) -> Evidence:
    return Evidence((EvidenceItem("reported", about, name, value),))


def ran(*kernels: LayerKernel, items: tuple[EvidenceItem, ...] = ()) -> Evidence:
    return Evidence(items, layers=kernels)


BLAS = said("threads", "OpenBLAS", "2")  # NumPy's
MKL_SAYS = EvidenceItem("reported", "dispatch", "MKL", "Intel(R) Architecture processors")


@pytest.mark.parametrize(
    ("switch", "whole", "without", "expected"),
    [
        (
            "onednn-off",
            ran(*layers("oneDNN"), *layers("MKL", count=1)),
            ran(*layers("MKL", count=3)),
            Acted(True, "2 of 3 layers", "0 of 3 layers"),
        ),
        (
            "onednn-off",
            ran(*layers("MKL")),
            ran(*layers("MKL")),
            Acted(False, "not used", "not used"),
        ),
        (
            "onednn-avx2",
            ran(*layers("oneDNN", "AVX-512")),
            ran(*layers("oneDNN", "AVX2")),
            Acted(True, "AVX-512", "AVX2"),
        ),
        (
            "onednn-avx2",
            ran(*layers("oneDNN", "AVX-512")),
            ran(*layers("oneDNN", "AVX-512")),
            Acted(False),
        ),
        # Names of no instruction set tell nothing, and as many layers say nothing of a cap.
        (
            "mkl-avx2",
            ran(*layers("MKL"), items=(MKL_SAYS,)),
            ran(*layers("MKL"), items=(MKL_SAYS,)),
            Acted(None),
        ),
        (
            "mkl-compatible",
            said("setting", "MKL CNR", "OFF"),
            said("setting", "MKL CNR", "COMPATIBLE"),
            Acted(True, "OFF", "COMPATIBLE"),
        ),
        # That a variable was set is no proof that anybody read it.
        (
            "mkl-avx2",
            Evidence(),
            said("setting", "MKL_ENABLE_INSTRUCTIONS", "AVX2"),
            Acted(None),
        ),
        (
            "aten-default",
            said("instruction set", "PyTorch", "AVX-512"),
            said("instruction set", "PyTorch", "baseline"),
            Acted(True, "AVX-512", "baseline"),
        ),
        (
            "one-thread",
            Evidence((*said("threads", "intra-op", "2").items, *BLAS.items)),
            said("threads", "intra-op", "1"),
            Acted(True, "intra-op 2", "intra-op 1"),
        ),
        (
            "unoptimized",
            Evidence(kernels={"Conv fp32": 2, "FusedConv fp32": 1}),
            Evidence(kernels={"Conv fp32": 3, "Relu fp32": 1}),
            Acted(True, "2 Conv fp32, 1 FusedConv fp32", "3 Conv fp32, 1 Relu fp32"),
        ),
        (
            "cudnn-off",
            ran(*layers("cuDNN", count=3)),
            ran(*layers("PyTorch", count=3)),
            Acted(True, "3 of 3 layers", "0 of 3 layers"),
        ),
        (
            "cudnn-benchmark",
            ran(*layers("cuDNN"), items=said("setting", "cudnn.benchmark", "off").items),
            ran(*layers("cuDNN"), items=said("setting", "cudnn.benchmark", "on").items),
            Acted(True, "cudnn.benchmark off", "cudnn.benchmark on"),
        ),
        (
            "tf32-off",
            Evidence(kernels={"conv tf32": 2, "relu fp32": 1}, layers=layers("cuDNN")),
            Evidence(kernels={"conv fp32": 2, "relu fp32": 1}, layers=layers("cuDNN")),
            Acted(True, "2 conv tf32", "2 conv fp32"),
        ),
        (
            "tf32-off",
            Evidence(kernels={"mm fp32": 1}),
            Evidence(kernels={"mm fp32": 1}),
            Acted(False),
        ),
        ("one-thread", Evidence(), Evidence(), Acted(None)),
        ("one-thread", None, Evidence(), Acted(None)),
    ],
)
def test_a_switch_has_acted_if_what_it_is_about_ran_otherwise(
    switch: str, whole: Evidence | None, without: Evidence | None, expected: Acted
) -> None:
    assert acted(SWITCHES[switch], whole, without) == expected


def test_only_what_differs_is_told_and_not_all_of_much() -> None:
    whole = Evidence(kernels={f"Op{index} fp32": 1 for index in range(6)})
    without = Evidence(kernels={"Op0 fp32": 1, "Other fp32": 2})
    found = acted(SWITCHES["unoptimized"], whole, without)
    assert found.before == "1 Op1 fp32, 1 Op2 fp32, 1 Op3 fp32 and 2 more"
    assert found.after == "2 Other fp32"


def test_layouts_that_no_tensor_has_are_not_told() -> None:
    whole = said("layout", "convolution inputs", "9 contiguous, 0 channels-last, 0 neither")
    without = said("layout", "convolution inputs", "0 contiguous, 8 channels-last, 1 neither")
    found = acted(SWITCHES["channels-last"], whole, without)
    assert found.before == "convolution inputs 9 contiguous"
    assert found.after == "convolution inputs 8 channels-last, 1 neither"
