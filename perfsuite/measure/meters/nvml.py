"""Energy, memory, clocks and throttling of an NVIDIA card, by NVIDIA's management library (NVML).

NVML tells of the whole card, whoever uses it, and its counters move only some ten times a second.
So energy is sampled while calls go on for `WINDOW_S`, beside nothing else that is measured.

Source: NVML API reference (docs.nvidia.com/deploy/nvml-api); the package nvidia-ml-py binds it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, TypeVar

from perfsuite.domain.meter import Phase
from perfsuite.domain.metrics import Metric
from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import Unavailable
from perfsuite.measure.meters.nvml_card import Card, first_card
from perfsuite.measure.meters.nvml_samples import Sample, Sampler, energy_j_per_s, steady

CUDA = "cuda"
WINDOW_S = 2.0
_RECENT_US = 1_000_000  # in which somebody who computed shares the card

_T = TypeVar("_T")

ENERGY = Metric("energy_j", "J", "energy")
PEAK = Metric("device_peak_bytes", "B", "device memory", machine_bound=False)
CLOCK = Metric("device_clock_hz", "Hz", "device clock", better="higher", column=False)
TEMPERATURE = Metric("device_celsius", "°C", "device temperature", summary="mean", column=False)

# What slows a card down: bits of `nvmlDeviceGetCurrentClocksEventReasons`, and counters of
# nanoseconds by `nvmlDeviceGetViolationStatus`.
REASONS = {
    0x4: "throttled: power cap",
    0x8: "throttled: hardware slowdown",
    0x20: "throttled: heat",
    0x40: "throttled: heat",
    0x80: "throttled: power brake",
}
POLICIES = {0: "throttled: power cap", 1: "throttled: heat"}
UNSTEADY = "device clock not steady"
SHARED = "others use the card"
NO_ENERGY = "no energy: "
IN_PARTS = "the card is cut up (MIG), and tells the energy of all its parts together alone"


class Nvml:
    """The energy of a call, the memory that the process takes of the card, its clock and heat."""

    metrics: ClassVar[tuple[Metric, ...]] = (ENERGY, PEAK, CLOCK, TEMPERATURE)
    window_s: ClassVar[float] = WINDOW_S

    def __init__(self) -> None:
        self.labels: list[str] = []
        self._nvml = _library()
        self._card: Card | None = None
        self._base_bytes = self._held_bytes = 0
        self._slowed_ns: dict[int, int] = {}
        self._sampler: Sampler | None = None

    def start(self, phase: Phase, device: str) -> None:
        """Note the state of the card; in the window, begin to sample it."""
        if device != CUDA:
            raise Unavailable(f"NVML tells of NVIDIA cards, and this cell runs on {device}")
        if self._card is None:
            self._card = _told(self._nvml, lambda: first_card(self._nvml))
        if phase == "load":
            self._base_bytes = self._used_bytes()
        elif phase == "calls":
            self._held_bytes = self._own_bytes(self._base_bytes)
            self._slowed_ns = self._slowed()
        else:
            self._base_bytes = self._used_bytes() - self._held_bytes
            self._sampler = Sampler(self._sample)
            self._sampler.start()

    def resume(self) -> None:
        """Begin with what happens in this process's turn."""
        self._slowed_ns = self._slowed()

    def pause(self) -> None:
        """End with it: what slows the card down in others' turns is theirs."""
        self._label_slowed()

    def stop(self, phase: Phase, calls: int) -> Mapping[str, float]:
        """Return what the window showed; labels say what slowed the card down in timed calls."""
        if phase == "calls":
            self._held_bytes = max(self._held_bytes, self._own_bytes(self._base_bytes))
            self._label_slowed()
        if phase != "window" or self._sampler is None:
            return {}
        samples, seconds = self._sampler.stop()
        peak = max([self._held_bytes, *(one.memory_bytes for one in samples)])
        found = {PEAK.name: float(peak)} if peak > 0 else {}
        self._label_samples(samples)
        found |= _mean(CLOCK, [one.clock_hz for one in samples])
        found |= _mean(TEMPERATURE, [one.celsius for one in samples])
        try:
            if self._card is not None and self._card.part is not None:
                raise Unavailable(IN_PARTS)
            found[ENERGY.name] = energy_j_per_s(samples) * seconds / calls
        except Unavailable as error:
            self._label(f"{NO_ENERGY}{error}")
        return found

    def now(self) -> tuple[EvidenceItem, ...]:
        """Return, of the card as it is at this moment, what slows it down and who shares it."""
        self._card = _told(self._nvml, lambda: first_card(self._nvml))
        name = str(self._ask("nvmlDeviceGetName") or "the card")
        reasons = self._sample().reasons
        why = dict.fromkeys(text for bit, text in REASONS.items() if reasons & bit)
        found = [("throttled", one.partition(": ")[2]) for one in why]
        if self._others(computes=False):
            found.append(("shared", "another process computes there"))
        return tuple(EvidenceItem("reported", about, name, value) for about, value in found)

    def left(self) -> int | None:
        """Return how many bytes of the card's memory are free; None where it does not tell."""
        self._card = _told(self._nvml, lambda: first_card(self._nvml))
        found = self._ask("nvmlDeviceGetMemoryInfo", of_part=True)
        return None if found is None else int(found.free)

    def _ask(self, name: str, *args: int, of_part: bool = False) -> Any:
        """Return what a function of NVML says of the card; None where it does not tell.

        `of_part` asks of the slice that this process uses, where the card is cut up.
        """
        function: Callable[..., Any] | None = getattr(self._nvml, name, None)
        if function is None or self._card is None:
            return None
        part = self._card.part if of_part else None
        try:
            return function(self._card.whole if part is None else part, *args)
        except self._nvml.NVMLError:
            return None  # not supported by this card, or not permitted

    def _sample(self) -> Sample:
        energy_mj, power_mw = self._ask("nvmlDeviceGetTotalEnergyConsumption"), None
        if energy_mj is None:
            power_mw = self._ask("nvmlDeviceGetPowerUsage")
        clock_mhz = self._ask("nvmlDeviceGetClockInfo", 1)  # of the multiprocessors
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:  # its name before driver 535
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return Sample(
            energy_j=None if energy_mj is None else energy_mj / 1e3,
            power_w=None if power_mw is None else power_mw / 1e3,
            clock_hz=None if clock_mhz is None else clock_mhz * 1e6,
            celsius=self._ask("nvmlDeviceGetTemperature", 0),
            reasons=reasons or 0,
            memory_bytes=self._own_bytes(self._base_bytes),
        )

    def _used_bytes(self) -> int:
        """Return the bytes that all processes hold."""
        found = self._ask("nvmlDeviceGetMemoryInfo", of_part=True)
        return 0 if found is None else int(found.used)

    def _own_bytes(self, base_bytes: int) -> int:
        """Return the bytes that this process holds: its own figure, or what came to `base_bytes`.

        The latter is right as long as no other process takes or frees memory; those that are
        measured together are stopped meanwhile.
        """
        for one in self._ask("nvmlDeviceGetComputeRunningProcesses", of_part=True) or ():
            if one.pid == os.getpid() and one.usedGpuMemory:
                return int(one.usedGpuMemory)
        return max(0, self._used_bytes() - base_bytes)

    def _slowed(self) -> dict[int, int]:
        """Return for how many nanoseconds each policy has slowed the card down until now."""
        found = {policy: self._ask("nvmlDeviceGetViolationStatus", policy) for policy in POLICIES}
        return {policy: int(one.violationTime) for policy, one in found.items() if one is not None}

    def _label_slowed(self) -> None:
        now = self._slowed()
        for policy, before in self._slowed_ns.items():
            if now.get(policy, before) > before:
                self._label(POLICIES[policy])
        self._slowed_ns = {}

    def _label_samples(self, samples: Sequence[Sample]) -> None:
        for bit, label in REASONS.items():
            if any(one.reasons & bit for one in samples):
                self._label(label)
        if not steady([one.clock_hz for one in samples if one.clock_hz is not None]):
            self._label(UNSTEADY)
        if self._others(computes=True):
            self._label(SHARED)

    def _others(self, *, computes: bool) -> bool:
        """Tell whether another process computed on the card just now.

        In a container NVML may tell of processes by the host's numbers. So where this one
        `computes` there and is not among them, one of them is this one.
        """
        since = _now_us() - _RECENT_US
        found = self._ask("nvmlDeviceGetProcessUtilization", since) or ()
        active = {one.pid for one in found if one.smUtil > 0 and one.timeStamp > since}
        if os.getpid() in active or not computes:
            return bool(active - {os.getpid()})
        return len(active) > 1

    def _label(self, text: str) -> None:
        if text not in self.labels:
            self.labels.append(text)


def disturbances() -> tuple[EvidenceItem, ...]:
    """Return what slows the card down now, and who shares it; nothing where no card is told of."""
    try:
        return Nvml().now()
    except Unavailable:
        return ()


def left_bytes() -> int | None:
    """Return how many bytes of the card's memory are free; None where no card is told of."""
    try:
        return Nvml().left()
    except Unavailable:
        return None


def _now_us() -> int:
    """Return the time in microseconds, as NVML tells that of its samples."""
    return time.time_ns() // 1000


def _library() -> Any:
    """Return NVML, started; raise `Unavailable` without it or without a driver."""
    try:
        nvml = import_module("pynvml")
    except ImportError as error:
        raise Unavailable(
            "nvidia-ml-py is not installed; install it with: pip install 'perfsuite[cuda]'"
        ) from error
    _told(nvml, nvml.nvmlInit)
    return nvml


def _told(nvml: Any, action: Callable[[], _T]) -> _T:
    """Return what `action` does; raise `Unavailable`, with what NVML says, where it fails."""
    try:
        return action()
    except nvml.NVMLError as error:
        raise Unavailable(
            f"NVML says '{error}': it needs an NVIDIA card, its driver, and the right to ask "
            f"(`nvidia-smi` shows whether all are there)"
        ) from error


def _mean(metric: Metric, values: Sequence[float | None]) -> dict[str, float]:
    known = [one for one in values if one is not None]
    return {metric.name: sum(known) / len(known)} if known else {}
