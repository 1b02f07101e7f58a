"""What NVML tells of a card, by a script in its place."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from fake_nvml import FakeNvml

from perfsuite.errors import Unavailable
from perfsuite.measure.metering import Metering
from perfsuite.measure.meters import nvml as nvml_module
from perfsuite.measure.meters.nvml import Nvml, disturbances, left_bytes
from perfsuite.measure.meters.nvml_samples import Sample


class Scripted:
    """A sampler that has taken these samples already, in this time."""

    samples: Sequence[Sample] = ()
    seconds = 2.0

    def __init__(self, take: Any) -> None:
        self.take = take

    def start(self) -> None:
        self.first = self.take()

    def stop(self) -> tuple[list[Sample], float]:
        return [self.first, *self.samples], self.seconds


def steps(watts: float, *, clock_hz: float = 1.98e9, **more: Any) -> list[Sample]:
    """Return two seconds of samples, of a counter that moves ten times a second."""
    found = []
    for index in range(100):
        joules = watts * (index // 5) * 0.1
        found.append(Sample(joules, None, clock_hz, 50.0, at_s=index * 0.02, **more))
    return found


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(nvml_module, "Sampler", Scripted)
    monkeypatch.setattr(Scripted, "samples", steps(200.0))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setattr(nvml_module, "_now_us", lambda: 10_000_000)
    return fake


def window(meter: Nvml, calls: int = 100) -> dict[str, float]:
    """Return what the meter gives in its window, the phases before being gone through."""
    for phase in ("load", "calls"):
        meter.start(phase, "cuda")
        assert meter.stop(phase, 10) == {}
    meter.start("window", "cuda")
    return dict(meter.stop("window", calls))


def test_energy_is_that_of_a_call_in_the_window(card: FakeNvml) -> None:
    meter = Nvml()
    found = window(meter)
    assert found["energy_j"] == pytest.approx(200.0 * 2.0 / 100)
    assert found["device_clock_hz"] == pytest.approx(1.98e9)
    assert found["device_celsius"] == pytest.approx((45 + 100 * 50) / 101)
    assert meter.labels == []


def test_a_window_too_short_is_refused_with_a_word(
    card: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "samples", steps(200.0)[:20])
    meter = Nvml()
    assert "energy_j" not in window(meter)
    assert meter.labels == [
        "no energy: the card's counter moved 3 times, at least 5 are needed",
    ]


def test_a_card_without_rights_has_no_energy_and_says_so(
    card: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "samples", [])
    card.energy_mj = card.power_mw = card.clock_mhz = None
    meter = Nvml()
    assert "energy_j" not in window(meter)
    assert meter.labels == [
        "no energy: the card tells neither its energy nor its power (not supported, or no rights)"
    ]


def test_power_is_read_only_where_there_is_no_counter(card: FakeNvml) -> None:
    meter = Nvml()
    meter.start("load", "cuda")
    card.energy_mj = 5_000
    assert (meter._sample().energy_j, meter._sample().power_w) == (5.0, None)
    card.energy_mj = None
    assert (meter._sample().energy_j, meter._sample().power_w) == (None, 100.0)


def test_memory_is_this_processs_own(card: FakeNvml) -> None:
    card.own_bytes = 3_000
    assert window(Nvml())["device_peak_bytes"] == 3_000


def test_or_what_came_to_what_others_hold(card: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "samples", [Sample(memory_bytes=900)])
    meter = Nvml()
    card.used = 10_000  # of those that were opened before, and are stopped
    meter.start("load", "cuda")
    card.used = 10_800
    meter.start("calls", "cuda")
    card.used = 60_800  # others were opened since
    meter.start("window", "cuda")
    assert meter._own_bytes(meter._base_bytes) == 800, "others' memory does not count"
    card.used = 60_850
    assert meter._own_bytes(meter._base_bytes) == 850
    assert meter.stop("window", 1)["device_peak_bytes"] == 900


def test_what_slows_the_card_down_is_a_label(
    card: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "samples", steps(200.0, reasons=0x4 | 0x40))
    card.reasons = 0x1  # idle, which is no fault
    meter = Nvml()
    window(meter)
    assert sorted(meter.labels) == ["throttled: heat", "throttled: power cap"]


def test_only_what_happens_in_its_own_turn_is_its_fault(card: FakeNvml) -> None:
    meter = Nvml()
    meter.start("calls", "cuda")
    meter.pause()
    card.slowed_ns = {1: 500}  # in another's turn
    meter.resume()
    meter.pause()
    assert meter.labels == []
    meter.resume()
    card.slowed_ns = {1: 900}
    meter.pause()
    meter.stop("calls", 1)
    assert meter.labels == ["throttled: heat"]


def test_without_turns_it_is_what_happens_until_the_end(card: FakeNvml) -> None:
    meter = Nvml()
    card.slowed_ns = {0: 100}
    meter.start("calls", "cuda")
    card.slowed_ns = {0: 200}
    meter.stop("calls", 1)
    assert meter.labels == ["throttled: power cap"]


def test_a_clock_that_changes_is_a_label(card: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = steps(200.0)[:50] + steps(200.0, clock_hz=1.4e9)[50:]
    monkeypatch.setattr(Scripted, "samples", changing)
    meter = Nvml()
    window(meter)
    assert meter.labels == ["device clock not steady"]


@pytest.mark.parametrize(
    ("stranger", "use", "at", "shared"),
    [
        (True, 30, 9_900_000, True),
        (True, 0, 9_900_000, False),
        (True, 30, 5_000_000, False),  # long ago
        (False, 30, 9_900_000, False),
    ],
)
def test_others_on_the_card_are_a_label(
    card: FakeNvml, use: int, at: int, *, stranger: bool, shared: bool
) -> None:
    own = SimpleNamespace(pid=os.getpid(), smUtil=90, timeStamp=10_000_000)
    card.others = [
        own,
        SimpleNamespace(pid=1 if stranger else os.getpid(), smUtil=use, timeStamp=at),
    ]
    meter = Nvml()
    window(meter)
    assert ("others use the card" in meter.labels) is shared


@pytest.mark.parametrize(
    ("visible", "asked"),
    [("", "card 0"), ("1,0", "card 1"), ("GPU-11111111,0", "card 1")],
)
def test_the_card_is_the_one_that_cuda_uses_first(
    card: FakeNvml, monkeypatch: pytest.MonkeyPatch, visible: str, asked: str
) -> None:
    card.cards = 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    Nvml().start("load", "cuda")
    assert card.asked[-1] == asked


def test_a_card_that_is_not_known_is_not_guessed(
    card: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.cards = 2
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    with pytest.raises(Unavailable, match="set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name a card by"):
        Nvml().start("load", "cuda")
    card.cards = 1
    Nvml().start("load", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5")
    with pytest.raises(Unavailable, match="names 'GPU-5', and no card has such a UUID"):
        Nvml().start("load", "cuda")


@pytest.mark.parametrize(("visible", "bytes_held"), [("", 500), ("MIG-1234-5", 700)])
def test_of_a_card_that_is_cut_up_the_part_is_told_and_no_energy_of_others(
    card: FakeNvml, monkeypatch: pytest.MonkeyPatch, visible: str, bytes_held: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(Scripted, "samples", [])
    card.parts = {2: 0, 5: 0}
    meter = Nvml()
    meter.start("load", "cuda")
    card.parts, card.used = {2: 500, 5: 700}, 90_000
    meter.start("calls", "cuda")
    meter.stop("calls", 1)
    meter.start("window", "cuda")
    found = meter.stop("window", 1)
    assert found["device_peak_bytes"] == bytes_held
    assert "energy_j" not in found
    assert meter.labels == [f"no energy: {nvml_module.IN_PARTS}"]


def test_in_a_container_with_numbers_of_its_own_a_process_is_not_its_own_stranger(
    card: FakeNvml,
) -> None:
    own, stranger = (
        SimpleNamespace(pid=os.getpid() + more, smUtil=90, timeStamp=9_900_000) for more in (1, 2)
    )
    card.others = [own]
    meter = Nvml()
    window(meter)
    assert meter.labels == []
    card.others = [own, stranger]
    meter = Nvml()
    window(meter)
    assert meter.labels == ["others use the card"]


def test_without_a_driver_there_is_a_word(card: FakeNvml) -> None:
    card.error = "Driver Not Loaded"
    with pytest.raises(Unavailable, match="NVML says 'Driver Not Loaded': it needs an NVIDIA card"):
        Nvml()
    card.error, card.cards = "", 0
    with pytest.raises(Unavailable, match="NVML says 'Invalid Argument'"):
        Nvml().start("load", "cuda")


def test_without_its_package_there_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(Unavailable, match=r"pip install 'perfsuite\[cuda\]'"):
        Nvml()


def test_a_cell_of_the_processor_has_none_of_it(card: FakeNvml) -> None:
    metering = Metering(["nvml"], "cpu")
    metering.start("load")
    assert metering.labels == ["no nvml: NVML tells of NVIDIA cards, and this cell runs on cpu"]
    assert metering.window_s == 0.0


def test_what_disturbs_a_card_at_this_moment(card: FakeNvml) -> None:
    assert disturbances() == ()
    card.reasons = 0x20 | 0x40 | 0x4 | 0x1  # heat twice, the power cap, and that it idles
    card.others = [SimpleNamespace(pid=os.getpid() + 1, smUtil=50, timeStamp=10_000_000)]
    told = [(one.about, one.name, one.value) for one in disturbances()]
    assert told == [
        ("throttled", "the card", "power cap"),
        ("throttled", "the card", "heat"),
        ("shared", "the card", "another process computes there"),
    ]


def test_without_a_card_nothing_disturbs_it(card: FakeNvml) -> None:
    card.error = "Driver Not Loaded"
    assert disturbances() == ()


def test_what_is_left_of_the_cards_memory(card: FakeNvml) -> None:
    card.used = 30_000
    assert left_bytes() == 70_000
    card.parts = {2: 99_000}
    assert left_bytes() == 1_000, "of the slice that is used"
    card.parts, card.used = None, None
    assert left_bytes() is None
    card.error = "Insufficient Permissions"
    assert left_bytes() is None


def test_the_script_has_nothing_that_the_library_has_not() -> None:
    nvml = pytest.importorskip("pynvml", reason="pip install 'perfsuite[cuda]'")
    named = {name for name in vars(FakeNvml) if name.startswith("nvml")}
    assert {*named, "NVMLError"} - set(dir(nvml)) == set()
