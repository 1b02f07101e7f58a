"""A card by fakes: the words where there is none, and which one it is."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.runtime import Manifest
from perfsuite.errors import BuildError, Unavailable, Unsupported
from perfsuite.runtimes.pytorch import card as card_module
from perfsuite.runtimes.pytorch import runtime as runtime_module
from perfsuite.runtimes.pytorch.card import (
    Placement,
    card_memory,
    identity,
    require_card,
)
from perfsuite.runtimes.pytorch.runtime import PyTorch, PyTorchChannelsLast


def test_without_a_card_the_words_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(Unavailable, match="`nvidia-smi` must list one"):
        require_card()

    def old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040).")

    monkeypatch.setattr(torch.cuda, "init", old)
    with pytest.raises(Unavailable, match=r"driver on your system is too old \(found version 11"):
        require_card()
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(Unavailable, match="built for the processor alone; install one for CUDA"):
        PyTorch().require("cuda", "fp32")
    with pytest.raises(Unavailable):
        PyTorch().identify("cuda")


@pytest.mark.parametrize(
    ("said", "capability", "words"),
    [
        (
            "CUDA-capable device(s) is/are busy or unavailable",
            (5, 2),
            "exclusive or prohibited compute mode",
        ),
        ("unspecified launch failure", (5, 2), "Titan X cannot be used .*: CUDA error: unspec"),
        (
            "no kernel image is available for execution on the device",
            (5, 2),
            r"the card has sm_52, and it has kernels for sm_75, sm_80; pip install 'torch<2\.15'",
        ),
        (
            "no kernel image is available for execution on the device",
            (13, 0),
            "has sm_130, .* sm_80; pip install --upgrade torch",
        ),
    ],
)
def test_a_card_that_cannot_be_used_says_why(
    monkeypatch: pytest.MonkeyPatch, said: str, capability: tuple[int, int], words: str
) -> None:
    import torch

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"CUDA error: {said}")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Titan X")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(Unavailable, match=words):
        require_card()


def test_a_card_is_known_by_what_its_times_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    properties = SimpleNamespace(
        name="NVIDIA H200", major=9, minor=0, total_memory=150754820096, multi_processor_count=132
    )
    monkeypatch.setattr(card_module, "require_card", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    wanted = {"memory": "140 GiB", "multiprocessors": "132"}
    assert identity() == DeviceIdentity("cuda", "NVIDIA H200", ("sm_90",), wanted)


def test_an_older_card_has_no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(runtime_module, "require_card", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (6, 1))
    PyTorch().require("cuda", "fp16")
    with pytest.raises(Unavailable, match=r"TF32 needs .* this one has sm_61; ask for fp32"):
        PyTorch().require("cuda", "tf32")


def test_the_processor_lacks_the_precisions_of_cards() -> None:
    for precision in ("fp32", "bf16"):
        PyTorch().require("cpu", precision)
    with pytest.raises(Unsupported, match="'tf32' is for 'cuda'; on 'cpu' it has fp32, bf16"):
        PyTorch().require("cpu", "tf32")
    assert PyTorch().identify("cpu").is_processor


def test_inputs_are_laid_out_and_rounded_as_asked() -> None:
    import torch

    pictures = np.zeros((1, 3, 4, 4), np.float32)
    plain = Placement("cpu", "fp32", False).tensor(pictures)
    assert plain.dtype == torch.float32
    last = Placement("cpu", "bf16", True).tensor(pictures)
    assert last.dtype == torch.bfloat16
    assert last.is_contiguous(memory_format=torch.channels_last)
    words = Placement("cpu", "fp16", True).tensor(np.zeros((2, 5), np.int64))
    assert words.dtype == torch.int64, "whole numbers stay"
    assert Placement("cuda", "tf32", False).dtype is torch.float32


def test_channels_last_is_a_runtime_of_its_own(tmp_path: Any) -> None:
    import torch
    from torch import nn

    from perfsuite.domain.model import InputSpec
    from perfsuite.domain.runtime import SessionOptions, Variant

    def net() -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).eval()

    spec = (InputSpec("x", "float32", ("batch", 3, 8, 8)),)
    manifest = Manifest("pytorch-channels-last", "cpu", "fp32", 1, spec, ("y",), False, False)
    runtime = PyTorchChannelsLast()
    runtime.build(Variant(None, net, False), manifest, tmp_path)
    with runtime.open(tmp_path, manifest, SessionOptions(1, 1, rebuild=net)) as session:
        weight = session._module.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert session.time_bound([{"x": np.zeros((1, 3, 8, 8), np.float32)}], 1, 0.0) is None


SETTLE = """
import torch
from perfsuite.runtimes.pytorch.runtime import settle_card_precision
for precision in ("fp32", "tf32", "fp16"):
    settle_card_precision(precision)
    parts = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    print(*(part.fp32_precision for part in parts))
"""


def test_tf32_is_taken_only_where_it_is_asked_for() -> None:
    command = [sys.executable, "-c", SETTLE]  # in a process of its own: the settings stay
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wanted = ["ieee ieee ieee", "tf32 tf32 tf32", "ieee ieee ieee"]
    assert done.stdout.splitlines() == wanted, done.stderr


def test_a_lack_of_the_cards_memory_is_said_in_words() -> None:
    import torch

    with pytest.raises(BuildError, match="take a smaller batch"), card_memory():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ],
)
def test_so_it_is_where_another_library_finds_out(said: str) -> None:
    with pytest.raises(BuildError, match="take a smaller batch"), card_memory():
        raise RuntimeError(said)
    with pytest.raises(RuntimeError, match="illegal"), card_memory():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
