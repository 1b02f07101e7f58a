"""The card as its driver tells of it, by a fake of the driver, and the words where it fails."""

from __future__ import annotations

import ctypes

import pytest
from fake_cuda import FakeCuda

from perfsuite.domain.device import DeviceIdentity
from perfsuite.errors import BuildError, Unavailable
from perfsuite.libraries.faults.missing import missing_in
from perfsuite.runtimes.shared.cuda_driver import Driver, Stream, require_precision


def test_a_card_is_what_torch_says_that_it_is() -> None:
    wanted = {"memory": "140 GiB", "multiprocessors": "132"}
    identity = Driver(FakeCuda()).identity()
    assert identity == DeviceIdentity("cuda", "NVIDIA H200", ("sm_90",), wanted)


@pytest.mark.parametrize(
    ("function", "result", "words"),
    [
        ("cuInit", 100, "finds no card .* CUDA_VISIBLE_DEVICES"),
        ("cuDeviceGet", 100, "finds no card"),
        ("cuInit", 34, "not the driver's: take its folder .*stubs.* out of LD_LIBRARY_PATH"),
        ("cuInit", 802, "start nvidia-fabricmanager"),
        ("cuInit", 803, "restart the machine after an update of the driver"),
        ("cuInit", 999, r"cuInit says 'something odd' \(error 999\)"),
        ("cuDevicePrimaryCtxRetain", 46, "nvidia-smi -c DEFAULT"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_change(function: str, result: int, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        Driver(FakeCuda(failing={function: result})).require("an engine", (12, 0))


def test_without_a_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(Unavailable, match=r"install the card's driver, .*cannot open") as raised:
        Driver()
    assert missing_in(raised.value, "tensorrt-rtx") is None, "nothing of the engine is missing"


def test_a_driver_that_is_too_old_is_told_with_both_versions() -> None:
    driver = Driver(FakeCuda(cuda=11040))
    with pytest.raises(Unavailable, match=r"ONNX Runtime needs CUDA 12.0, .* CUDA 11.4 at most"):
        driver.require("ONNX Runtime", (12, 0))
    driver.require("ONNX Runtime", (11, 4))


def test_a_lack_of_the_cards_memory_is_an_error_of_its_own() -> None:
    driver = Driver(FakeCuda(failing={"cuStreamCreate": 2}))
    with pytest.raises(BuildError, match="too little memory"):
        Stream(driver)


def test_what_fails_on_the_card_is_no_lack_of_a_card() -> None:
    """A suite that expects cells to be unavailable must not take it for that."""
    driver = Driver(FakeCuda(failing={"cuStreamSynchronize": 700}))
    with pytest.raises(BuildError, match=r"'something odd' \(error 700\).*LAUNCH_BLOCKING"):
        Stream(driver).synchronize()


def test_to_ask_for_a_card_changes_nothing_of_this_thread() -> None:
    card = FakeCuda()
    Driver(card).require("an engine", (12, 0))
    assert "cuCtxSetCurrent" not in card.called
    assert card.called[-1] == "cuDevicePrimaryCtxRelease_v2"


def test_marks_in_a_stream_tell_the_cards_time_between_them() -> None:
    card = FakeCuda()
    stream = Stream(Driver(card))
    begin, end = stream.event(), stream.event()
    begin.record()
    card.now_ms = 2.5
    end.record()
    end.synchronize()
    assert begin.elapsed_time(end) == 2.5
    assert "cuEventSynchronize" in card.called


def test_tf32_is_for_cards_that_have_it() -> None:
    for capability in ("sm_80", "sm_120"):
        require_precision("tf32", capability)
    require_precision("fp16", "sm_52")
    with pytest.raises(
        Unavailable, match="needs a card with sm_80 or newer, and this one has sm_75"
    ):
        require_precision("tf32", "sm_75")
