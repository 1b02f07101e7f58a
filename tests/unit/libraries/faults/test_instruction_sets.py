"""Caps by environment variables, low dispatch, and INT8 without VNNI."""

from __future__ import annotations

import pytest
from made_up_facts import AMD, AVX2, AVX512, INTEL, VNNI, found, item


@pytest.mark.parametrize(
    ("variable", "value", "whose", "flags"),
    [
        ("ONEDNN_MAX_CPU_ISA", "SSE41", "oneDNN", AVX2),
        ("ONEDNN_MAX_CPU_ISA", "AVX2_VNNI", "oneDNN", VNNI),
        ("DNNL_MAX_CPU_ISA", "avx", "oneDNN", AVX2),
        ("ATEN_CPU_CAPABILITY", "default", "PyTorch", AVX2),
        ("ATEN_CPU_CAPABILITY", "avx2", "PyTorch", AVX512),
        ("MKL_ENABLE_INSTRUCTIONS", "SSE4_2", "MKL", AVX2),
        ("MKL_CBWR", "COMPATIBLE", "MKL", AVX2),
        ("MKL_CBWR", "BRANCH=AVX2,STRICT", "MKL", AVX512),
    ],
)
def test_a_cap_is_a_fault_that_names_the_variable(
    variable: str, value: str, whose: str, flags: tuple[str, ...]
) -> None:
    one = found(item("setting", variable, value), flags=flags)["instruction-set-capped"]
    assert (one.about, one.severity, one.fix) == (whose, "fault", f"unset {variable}")
    assert f"{variable}={value}" in one.message


@pytest.mark.parametrize(
    ("variable", "value", "flags", "processor"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", AVX2, INTEL),
        ("ONEDNN_MAX_CPU_ISA", "ALL", VNNI, INTEL),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX", VNNI, INTEL),
        ("ONEDNN_MAX_CPU_ISA", "AVX10_1_512_AMX", VNNI, INTEL),
        ("ONEDNN_MAX_CPU_ISA", "nonsense", VNNI, INTEL),  # oneDNN takes no notice
        ("ATEN_CPU_CAPABILITY", "avx512", AVX512, INTEL),
        ("MKL_ENABLE_INSTRUCTIONS", "SSE4_2", VNNI, AMD),  # nor does MKL there
        ("MKL_CBWR", "AVX2", VNNI, AMD),
        ("MKL_CBWR", "AUTO,STRICT", VNNI, INTEL),
        ("ONEDNN_MAX_CPU_ISA", "SSE41", ("asimd", "sve"), "implementer 0x41"),
        ("ONEDNN_MAX_CPU_ISA", "SSE41", (), ""),  # without /proc
    ],
)
def test_what_takes_nothing_away_is_none(
    variable: str, value: str, flags: tuple[str, ...], processor: str
) -> None:
    assert found(item("setting", variable, value), flags=flags, processor=processor) == {}


def test_a_cap_that_leaves_vectors_alone_is_a_caution() -> None:
    one = found(item("setting", "ONEDNN_MAX_CPU_ISA", "AVX512_CORE"))["instruction-set-capped"]
    assert one.severity == "caution"


def test_a_cap_on_a_library_that_the_engine_has_not_is_not_told() -> None:
    caps = (item("setting", "ONEDNN_MAX_CPU_ISA", "SSE41"),)
    assert found(*caps, runtime="onnxruntime", rounds_to_8_bits=True) == {}
    inside = item("library", "oneDNN", "inside OpenVINO's CPU plug-in")
    assert found(*caps, inside, runtime="openvino").keys() == {"instruction-set-capped"}


@pytest.mark.parametrize(
    ("taken", "flags", "severity"),
    [("baseline", AVX2, "fault"), ("AVX2", AVX512, "caution"), ("AVX", AVX2, "caution")],
)
def test_less_than_the_processor_has_is_told(
    taken: str, flags: tuple[str, ...], severity: str
) -> None:
    one = found(item("instruction set", "PyTorch", taken), flags=flags)["instruction-set-low"]
    assert one.severity == severity and taken in one.message


@pytest.mark.parametrize(
    ("taken", "flags"),
    [("AVX2 VNNI", AVX2), ("AVX-512", VNNI), ("AVX-512 bf16", VNNI), ("AMX", VNNI),
     ("baseline", ("asimd",)), ("NEON", ("asimd",))],
)  # fmt: skip
def test_the_best_is_no_fault(taken: str, flags: tuple[str, ...]) -> None:
    assert found(item("instruction set", "oneDNN", taken), flags=flags) == {}


CAP = item("setting", "ONEDNN_MAX_CPU_ISA", "AVX2")
INSIDE = item("library", "oneDNN", "inside OpenVINO's CPU plug-in")


@pytest.mark.parametrize(
    ("portable", "severity"), [(False, "fault"), (None, "caution"), (True, "caution")]
)
def test_int8_on_a_processor_without_vnni(portable: bool | None, severity: str) -> None:
    given = found(runtime="openvino", rounds_to_8_bits=True, portable=portable, flags=AVX2)
    assert given["int8-without-vnni"].severity == severity
    assert ("portable = true" in given["int8-without-vnni"].fix) == (severity == "fault")
    told = {"rounds_to_8_bits": True, "portable": portable, "already": True}
    given = found(runtime="openvino", flags=AVX2, **told)
    assert ("reduce_range" in given["int8-without-vnni"].fix) == (severity == "fault")
    assert "portable" not in given["int8-without-vnni"].fix


@pytest.mark.parametrize(
    ("portable", "severity"), [(False, "fault"), (None, "fault"), (True, "caution")]
)
def test_int8_under_a_cap_without_vnni(portable: bool | None, severity: str) -> None:
    items = (CAP, INSIDE)
    given = found(*items, runtime="openvino", rounds_to_8_bits=True, portable=portable)
    one = given["int8-without-vnni"]
    assert one.severity == severity and "unset ONEDNN_MAX_CPU_ISA" in one.fix


def test_int8_with_vnni_and_floats_without_it_are_sound() -> None:
    assert found(runtime="openvino", rounds_to_8_bits=True) == {}
    assert found(runtime="openvino", flags=AVX2) == {}
    assert found(runtime="onnxruntime", rounds_to_8_bits=True, flags=("asimd",)) == {}


def test_mkls_branch_for_every_processor_is_a_cap_on_each() -> None:
    one = found(item("setting", "MKL_CBWR", "compatible"), processor=AMD)["instruction-set-capped"]
    assert "MKL_CBWR=compatible keeps MKL to SSE" in one.message
