"""What a switch is for, and what one says that changes nothing."""

from __future__ import annotations

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.errors import ConfigError, Unavailable, Unsupported
from perfsuite.libraries import switches
from perfsuite.libraries.switches import SWITCHES, check_switch, switch_of, why_not
from perfsuite.runtimes.table import RUNTIMES

AVX512 = ("sse4_1", "sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16")
AVX2 = ("sse4_1", "sse4_2", "avx", "avx2")
TORCH = Cell("net", "fp32", "pytorch", threads=2)
OPENVINO = Cell("net", "fp32", "openvino", threads=2)
ONNX = Cell("net", "fp32", "onnxruntime", threads=2)
CARD = Cell("net", "fp32", "pytorch", device="cuda", threads=2)
TF32 = Cell("net", "fp32", "pytorch", device="cuda", precision="tf32", threads=2)
ONE = Cell("net", "fp32", "pytorch", threads=1)


@pytest.mark.parametrize(
    ("name", "cell", "flags", "said"),
    [
        ("onednn-off", TORCH, AVX2, ""),
        ("onednn-off", ONNX, AVX2, "for pytorch, pytorch-channels-last, not for onnxruntime"),
        ("onednn-off", CARD, AVX2, "for the device cpu, not for cuda"),
        ("onednn-avx2", OPENVINO, AVX512, ""),
        ("onednn-avx2", OPENVINO, AVX2, "no avx512f and no avx_vnni, which it would hide"),
        ("onednn-sse41", OPENVINO, AVX2, ""),
        ("onednn-sse41", OPENVINO, ("asimd",), "no avx and no avx2"),
        ("onednn-bf16", TORCH, AVX512, "no amx_tile"),
        ("mkl-avx2", TORCH, AVX512, ""),
        ("mkl-avx2", TORCH, AVX2, "no avx512f"),
        ("unoptimized", ONNX, (), ""),
        ("channels-last", TORCH, (), ""),
        ("one-thread", ONNX, (), ""),
        ("one-thread", ONE, (), "has one thread already"),
        ("cudnn-off", CARD, (), ""),
        ("cudnn-off", TORCH, (), "for the device cuda"),
        ("tf32-off", TF32, (), ""),
        ("tf32-off", CARD, (), "for tf32, not for fp32"),
    ],
)
def test_a_switch_is_for_what_it_can_change(
    name: str, cell: Cell, flags: tuple[str, ...], said: str
) -> None:
    found = why_not(name, cell, flags)
    assert (found == "") == (said == "")
    assert said in found


def test_an_unknown_switch_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="unknown switch 'onednn-of'; did you mean 'onednn-off'"):
        switch_of(Cell("net", "fp32", "pytorch", switch="onednn-of"))
    assert switch_of(TORCH) is None


def test_what_changes_nothing_is_unsupported_and_a_missing_emulator_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Unsupported, match=r"net/fp32/onnxruntime/cpu/b1/onednn-off: .*pytorch"):
        check_switch(Cell("net", "fp32", "onnxruntime", switch="onednn-off"), AVX2)
    monkeypatch.setattr(switches.shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match=r"no qemu-x86_64.*apt-get install qemu-user"):
        check_switch(Cell("net", "fp32", "fake", switch="qemu-haswell"), AVX2)
    check_switch(Cell("net", "fp32", "fake"), AVX2)


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_does_something_and_is_for_runtimes_that_there_are(name: str) -> None:
    switch = SWITCHES[name]
    assert switch.environment or switch.call or switch.options or switch.emulator
    assert set(switch.runtimes) <= set(RUNTIMES)
    assert name.isascii() and not set(name) & set("/*?[] ")  # it is a part of keys and globs


def test_no_two_switches_do_the_same() -> None:
    assert len({one.digest for one in SWITCHES.values()}) == len(SWITCHES)
