"""A card by fakes: the words where there is none, which one it is, its clock beside the host's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.runtime import Manifest
from perfsuite.errors import BuildError, Unavailable, Unsupported
from perfsuite.runtimes.pytorch import card as card_module
from perfsuite.runtimes.pytorch.card import (
    Placement,
    card_memory,
    identity,
    require_card,
    timed_by_events,
)
from perfsuite.runtimes.pytorch.runtime import PyTorch, PyTorchChannelsLast


class Device:
    """A card that works off what was launched, and a host whose clock goes on meanwhile."""

    def __init__(self, *calls_ns: int, launch_ns: int = 1000) -> None:
        self.calls_ns, self.launch_ns = list(calls_ns), launch_ns
        self.now_ns = self.free_ns = 0
        self.waited = 0

    def call(self) -> None:
        self.now_ns += self.launch_ns
        self.free_ns = max(self.free_ns, self.now_ns) + self.calls_ns.pop(0)

    def event(self) -> Any:
        return Mark(self)


class Mark:
    """An event: it is reached when all that was launched before has been worked off."""

    def __init__(self, device: Device) -> None:
        self.device, self.at_ns = device, 0

    def record(self) -> None:
        self.at_ns = max(self.device.free_ns, self.device.now_ns)

    def synchronize(self) -> None:
        self.device.now_ns = max(self.device.now_ns, self.at_ns)
        self.device.waited += 1

    def elapsed_time(self, end_event: Mark) -> float:
        return (end_event.at_ns - self.at_ns) / 1e6  # milliseconds, as CUDA does


def test_calls_are_timed_by_the_cards_clock_and_the_hosts() -> None:
    device = Device(2_000_000, 3_000_000, 4_000_000)
    found = timed_by_events([device.call], device.event, 3, 0.0, lambda: device.now_ns)
    assert found.device_s == pytest.approx((2.001e-3, 3.001e-3, 4.001e-3))
    assert found.host_s == pytest.approx(found.device_s)
    assert device.waited == 3, "each call is waited for"


def test_calls_go_on_until_they_have_taken_long_enough_and_rotate() -> None:
    device, order = Device(*[1_000_000] * 10), list[str]()

    def named(name: str) -> Callable[[], None]:
        def call() -> None:
            order.append(name)
            device.call()

        return call

    calls = [named("a"), named("b")]
    found = timed_by_events(calls, device.event, 1, 4.5e-3, lambda: device.now_ns)
    assert order == ["a", "b", "a", "b", "a"]
    assert len(found.device_s) == 5


def test_without_a_card_the_words_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(Unavailable, match="`nvidia-smi` must list one"):
        require_card()
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(Unavailable, match="built for the processor alone; install one for CUDA"):
        PyTorch().require("cuda", "fp32")
    with pytest.raises(Unavailable):
        PyTorch().identify("cuda")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("CUDA-capable device(s) is/are busy or unavailable", "exclusive compute mode"),
        ("no kernel image is available for execution", "Titan X cannot be used with torch"),
    ],
)
def test_a_card_that_cannot_be_used_says_why(
    monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    import torch

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"CUDA error: {said}")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Titan X")
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
