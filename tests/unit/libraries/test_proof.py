"""Whether evidence shows what is required: worked out by hand, for each way of knowing it."""

from __future__ import annotations

from typing import Literal

import pytest

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.suite import Require
from perfsuite.libraries.proof import Proof, proof

How = Literal["observed", "reported", "inferred"]


def layer(library: str, sets: str = "", how: How = "observed") -> LayerKernel:
    return LayerKernel("a", "Conv", "kernel", library, sets, how=how)


def item(about: str, name: str, value: str, how: How = "observed") -> EvidenceItem:
    return EvidenceItem(how, about, name, value)


MIXED = Evidence(
    layers=(
        layer("oneDNN", "AVX-512"),
        layer("oneDNN", "AVX-512 VNNI"),
        layer("PyTorch", "AVX2", "inferred"),
    )
)


@pytest.mark.parametrize(
    ("require", "evidence", "found"),
    [
        (Require("oneDNN"), MIXED, Proof(True, "oneDNN computed 2 of 3 layers (observed)")),
        (Require("PyTorch"), MIXED, Proof(True, "PyTorch computed 1 of 3 layers (inferred)")),
        (
            Require("MKL"),
            MIXED,
            Proof(
                False,
                "nothing shows that MKL was used: oneDNN computed 2 of 3 layers (observed), "
                "PyTorch computed 1 of 3 layers (inferred)",
            ),
        ),
        (
            Require("oneDNN", "AVX-512 VNNI"),
            MIXED,
            Proof(True, "oneDNN computed 2 of 3 layers with AVX-512 VNNI at best (observed)"),
        ),
        (  # a better one
            Require("oneDNN", "AVX2"),
            MIXED,
            Proof(True, "oneDNN computed 2 of 3 layers with AVX-512 VNNI at best (observed)"),
        ),
        (
            Require("oneDNN", "AMX"),
            MIXED,
            Proof(False, "oneDNN computed 2 of 3 layers with AVX-512 VNNI at best (observed)"),
        ),
        (
            Require("PyTorch", "AVX2"),
            MIXED,
            Proof(
                False,
                "PyTorch computed 1 of 3 layers with AVX2 at best (inferred, which proves nothing)",
            ),
        ),
        (
            Require(instruction_set="AVX-512 VNNI"),
            MIXED,
            Proof(True, "kernels ran with AVX-512 VNNI at best (observed)"),
        ),
        (
            Require("MKL"),
            Evidence((item("library", "MKL", "libmkl_rt.so"),)),  # loaded, no more
            Proof(
                False,
                "nothing shows that MKL was used: the evidence names no library that computed "
                "anything",
            ),
        ),
        (
            Require(instruction_set="AVX2"),
            Evidence(),
            Proof(False, "kernels ran with an instruction set that is not known"),
        ),
        (
            Require("MKL", "AVX2"),
            Evidence(layers=(layer("MKL"),)),
            Proof(False, "MKL computed 1 of 1 layers with an instruction set that is not known"),
        ),
    ],
)
def test_layers(require: Require, evidence: Evidence, found: Proof) -> None:
    assert proof(require, evidence) == found


def test_a_library_inside_of_an_engine_counts_by_the_layers_that_the_engine_ran() -> None:
    inside = Evidence(
        (item("library", "MLAS", "inside ONNX Runtime", "inferred"),),
        layers=(layer("MLAS", "AVX2", "inferred"),),
    )
    assert proof(Require("MLAS"), inside).holds
    assert not proof(Require("MLAS", "AVX2"), inside).holds


def test_an_engine_and_what_a_package_says_of_its_own_library_count() -> None:
    engine = Evidence((item("engine", "OpenVINO", "3 kernels"),))
    assert proof(Require("OpenVINO"), engine).text == "OpenVINO was the engine (observed)"
    own = Evidence((item("used", "ggml", "7 layers", "reported"),))
    assert proof(Require("ggml"), own).holds
    assert proof(Require("GGML"), own).holds


def test_what_computed_comes_before_what_is_said() -> None:
    """A library that was capped says what the processor has; its kernels say what was done."""
    said = item("instruction set", "oneDNN", "AVX-512 VNNI", "reported")
    capped = Evidence((said,), layers=(layer("oneDNN", "AVX2"),))
    for title in ("oneDNN", ""):
        found = proof(Require(title, "AVX-512"), capped)
        assert not found.holds
        assert found.text.endswith("AVX2 at best (observed)")
    silent = Evidence((said,), layers=(layer("oneDNN"),))
    assert proof(Require("oneDNN", "AVX-512"), silent) == Proof(
        True, "oneDNN computed 1 of 1 layers with AVX-512 VNNI at best (reported)"
    )
    assert not proof(Require("MKL", "AVX-512"), silent).holds, "another library said it"


def test_what_a_library_says_that_was_not_used_is_nothing() -> None:
    numpys = item("instruction set", "OpenBLAS", "AVX-512", "reported")
    found = proof(Require(instruction_set="AVX2"), Evidence((numpys,), layers=(layer("MLAS"),)))
    assert found == Proof(False, "kernels ran with an instruction set that is not known")


def test_names_that_do_not_tell_vnni_are_not_said_to_be_without_it() -> None:
    kernel = LayerKernel("a", "Convolution", "brgconv_avx512_I8", "oneDNN", "AVX-512", "int8")
    found = proof(Require("oneDNN", "AVX-512 VNNI"), Evidence(layers=(kernel,)))
    assert found == Proof(
        False,
        "oneDNN computed 1 of 1 layers with AVX-512 at best (observed); the names of these kernels "
        "of 8 bits do not tell whether that is with VNNI",
    )
    assert proof(Require("oneDNN", "AVX-512"), Evidence(layers=(kernel,))).text.endswith("d)")


def test_names_of_kernels_tell_instruction_sets() -> None:
    kernels = Evidence((item("kernel", "brgconv_avx512_I8", "4 layers"),))
    assert proof(Require(instruction_set="AVX-512"), kernels).holds
    assert not proof(Require(instruction_set="AVX-512 VNNI"), kernels).holds
    unknown = Evidence((item("kernel", "ref_any_f32", "4 layers"),))
    assert (
        proof(Require(instruction_set="AVX2"), unknown).text
        == "kernels ran with an instruction set that is not known"
    )


def test_one_machines_sets_are_not_anothers() -> None:
    x86 = Evidence(layers=(layer("oneDNN", "AVX-512"),))
    assert not proof(Require(instruction_set="NEON"), x86).holds
    assert not proof(Require(instruction_set="SVE"), x86).holds
    arm = Evidence(layers=(layer("oneDNN", "SVE"),))
    assert proof(Require(instruction_set="NEON"), arm).holds
    assert not proof(Require(instruction_set="SSE4"), arm).holds
