"""The processor's energy, by counters that are files of a made-up machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.errors import Unavailable
from perfsuite.measure.meters import rapl
from perfsuite.measure.meters.nvml import ENERGY
from perfsuite.measure.meters.rapl import Rapl, packages
from perfsuite.measure.meters.table import definitions


def zone(zones: Path, number: str, name: str, energy_uj: int, largest_uj: int = 10_000_000) -> Path:
    folder = zones / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest_uj}\n")
    return folder


@pytest.fixture
def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rapl, "ZONES", tmp_path)
    return tmp_path


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(rapl.time, "monotonic", lambda: self.now_s)


def test_energy_is_that_of_all_packages_by_call(
    zones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    first = zone(zones, "0", "package-0", 1_000_000)
    zone(zones, "0:0", "core", 0)
    zone(zones, "1", "psys", 0)
    second = zone(zones, "2", "package-1", 9_500_000)
    meter = Rapl()
    meter.start("load", "cpu")
    assert meter.stop("load", 0) == {}
    meter.start("window", "cpu")
    (first / "energy_uj").write_text("4000000")  # 3 J
    (second / "energy_uj").write_text("500000")  # over the largest number: 0.5 J + 0.5 J
    clock.now_s = 2.0
    assert meter.stop("window", 8) == {"energy_j": pytest.approx(0.5)}


@pytest.mark.parametrize(
    ("seconds", "energy_uj", "words"),
    [(0.5, 9, "at least 1 s mean something"), (2.0, 5, "stand still")],
)
def test_what_would_mean_nothing_is_refused(
    zones: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, energy_uj: int, words: str
) -> None:
    clock = Clock(monkeypatch)
    folder = zone(zones, "0", "package-0", 5)
    meter = Rapl()
    meter.start("window", "cpu")
    (folder / "energy_uj").write_text(str(energy_uj))
    clock.now_s = seconds
    with pytest.raises(Unavailable, match=words):
        meter.stop("window", 3)


def test_a_machine_that_does_not_tell_says_why(
    zones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        Unavailable, match="no energy of this processor, as of none in a virtual machine"
    ):
        Rapl()
    file = zone(zones, "0", "package-0", 5) / "energy_uj"
    read_text = Path.read_text

    def refused(path: Path) -> str:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return read_text(path)

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(Unavailable, match=r"by root alone; .* sudo chmod a\+r"):
        packages(zones)


def test_it_is_for_processors_and_stands_beside_the_meter_of_cards(zones: Path) -> None:
    zone(zones, "0", "package-0", 5)
    with pytest.raises(Unavailable, match="this cell runs on cuda"):
        Rapl().start("load", "cuda")
    assert [one for one in definitions(["rapl", "nvml"]) if one.name == "energy_j"] == [ENERGY]
