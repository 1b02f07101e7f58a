"""What was used follows from the layers that ran, not from what is loaded."""

from __future__ import annotations

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.libraries.used import Use, used, used_items

CONVOLUTION = LayerKernel("a", "convolution", "jit:avx512_core", "oneDNN", "AVX-512")
LAYERS = (
    CONVOLUTION,
    LayerKernel("b", "convolution", "brgconv:avx512_core_vnni", "oneDNN", "AVX-512 VNNI"),
    LayerKernel("c", "addmm", "SGEMM", "MKL"),
    LayerKernel("d", "bmm", "bmm", "PyTorch", "AVX2", how="inferred"),
    LayerKernel("e", "mm", "", ""),
)


def library(title: str) -> EvidenceItem:
    return EvidenceItem("observed", "library", title, "file.so")


def test_layers_are_counted_by_library() -> None:
    found = used(Evidence((library("cuDNN"),), layers=LAYERS))
    assert found == {
        "oneDNN": Use("observed", "layers", 2, 5, ("AVX-512 VNNI", "AVX-512")),
        "MKL": Use("observed", "layers", 1, 5),
        "PyTorch": Use("inferred", "layers", 1, 5, ("AVX2",)),
    }


def test_engines_kernels_and_threads_are_used_without_layers() -> None:
    items = (
        library("OpenMP"),
        library("oneTBB"),
        EvidenceItem("observed", "engine", "PyTorch", "9 kernels"),
        EvidenceItem("observed", "kernels", "cuDNN", "4 kernels: one (4)"),
    )
    assert used(Evidence(items)) == {
        "PyTorch": Use("observed", "engine"),
        "cuDNN": Use("observed", "kernels"),
        "OpenMP": Use("inferred", "threads"),
    }


def test_threads_that_nobody_computes_with_are_not_used() -> None:
    assert used(Evidence((library("OpenMP"), library("oneTBB")))) == {}


def test_items_say_it_in_words_and_once() -> None:
    known = EvidenceItem("reported", "instruction set", "PyTorch", "AVX2")
    found = list(used_items(Evidence((known, library("OpenMP")), layers=LAYERS)))
    assert found == [
        EvidenceItem("observed", "used", "oneDNN", "2 of 5 layers"),
        EvidenceItem("observed", "instruction set", "oneDNN", "AVX-512 VNNI"),
        EvidenceItem("observed", "used", "MKL", "1 of 5 layers"),
        EvidenceItem("inferred", "used", "PyTorch", "1 of 5 layers"),
        EvidenceItem("inferred", "used", "OpenMP", "its threads"),
    ]
    engine = Evidence((EvidenceItem("observed", "engine", "OpenVINO", "3 kernels"),))
    assert next(used_items(engine)).value == "by the engine"


def test_layers_of_one_kind_of_knowledge_take_the_best() -> None:
    guessed = LayerKernel("x", "convolution", "", "oneDNN", how="inferred")
    assert used(Evidence(layers=(guessed, CONVOLUTION)))["oneDNN"].how == "observed"
