"""The energy of the processor's packages, by their own counters (RAPL), as Linux tells of them.

They count what all cores of a package take, whoever uses them, so that energy is taken while calls
go on for `WINDOW_S`, beside nothing else that is measured. Memory outside the package is not in it.

Source: Linux, Documentation/power/powercap/powercap.rst; AMD's processors are told of there, too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.meter import Phase
from perfsuite.domain.metrics import Metric
from perfsuite.errors import Unavailable
from perfsuite.measure.meters.nvml import ENERGY
from perfsuite.measure.meters.nvml_samples import LEAST_S

ZONES = Path("/sys/class/powercap")
WINDOW_S = 2.0
PACKAGE = "package"

_NOT_THERE = (
    "Linux tells no energy of this processor, as of none in a virtual machine ({zones} has no "
    "package; where it has counters, `modprobe intel_rapl_msr` brings them)"
)
_NO_RIGHTS = (
    "{file} may be read by root alone; let others read it until the next start by: sudo chmod a+r "
    "{zones}/*/energy_uj"
)


class Rapl:
    """The energy of a call on the processor: of all packages, with what it takes when idle."""

    metrics: ClassVar[tuple[Metric, ...]] = (ENERGY,)
    window_s: ClassVar[float] = WINDOW_S

    def __init__(self) -> None:
        self._zones = packages(ZONES)
        self._began_uj: list[int] = []
        self._began_s = 0.0

    def start(self, phase: Phase, device: str) -> None:
        """In the window, note the counters."""
        if device != PROCESSOR:
            raise Unavailable(f"RAPL tells of processors, and this cell runs on {device}")
        if phase == "window":
            self._began_uj = [_number(zone / "energy_uj") for zone in self._zones]
            self._began_s = time.monotonic()

    def stop(self, phase: Phase, calls: int) -> Mapping[str, float]:
        """Return the joules of a call in the window."""
        if phase != "window":
            return {}
        spent_s = time.monotonic() - self._began_s
        ended_uj = [_number(zone / "energy_uj") for zone in self._zones]
        joules = sum(map(_spent_j, self._zones, self._began_uj, ended_uj))
        if spent_s < LEAST_S:
            raise Unavailable(
                f"energy was counted for {spent_s:.2f} s, at least {LEAST_S:g} s mean something"
            )
        if joules <= 0.0:
            raise Unavailable("the processor's counters of energy stand still")
        return {ENERGY.name: joules / calls}


def packages(zones: Path) -> list[Path]:
    """Return the zones of whole packages; raise `Unavailable` without one that may be read."""
    found = [
        zone
        for zone in sorted(zones.glob("*-rapl:*"))
        if zone.name.count(":") == 1 and _text(zone / "name").startswith(PACKAGE)
    ]
    if not found:
        raise Unavailable(_NOT_THERE.format(zones=zones))
    for zone in found:
        _number(zone / "energy_uj")
    return found


def _spent_j(zone: Path, began_uj: int, ended_uj: int) -> float:
    """Return what a counter has counted; it begins again at 0 after the largest number it holds."""
    if ended_uj < began_uj:
        ended_uj += _number(zone / "max_energy_range_uj")
    return (ended_uj - began_uj) / 1e6


def _number(file: Path) -> int:
    text = _text(file)
    try:
        return int(text)
    except ValueError as error:
        raise Unavailable(f"{file} holds '{text}', which is no number") from error


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except PermissionError as error:
        raise Unavailable(_NO_RIGHTS.format(file=file, zones=ZONES)) from error
    except OSError as error:
        raise Unavailable(f"{file} cannot be read: {error.strerror}") from error
