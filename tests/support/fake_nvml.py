"""NVIDIA's management library as a script, in the place of nvidia-ml-py."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """What NVML raises."""


class FakeNvml:
    """A card whose answers are attributes; one that is None is not supported."""

    NVMLError = NVMLError

    def __init__(self, **answers: Any) -> None:
        self.energy_mj: int | None = 0
        self.power_mw: int | None = 100_000
        self.clock_mhz: int | None = 1980
        self.celsius: int | None = 45
        self.reasons: int | None = 0
        self.total = 100_000
        self.used: int | None = 0
        self.own_bytes: int | None = None  # of this process; None: the card does not say
        self.slowed_ns: dict[int, int] = {}
        self.others: list[Any] = []  # samples of other processes' use
        self.cards = 1
        self.parts: dict[int, int] | None = None  # of a card that is cut up: the bytes used in each
        self.error = ""
        self.asked: list[str] = []
        vars(self).update(answers)

    def nvmlInit(self) -> None:  # noqa: N802
        if self.error:
            raise NVMLError(self.error)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        if index >= self.cards:
            raise NVMLError("Invalid Argument")
        self.asked.append(f"card {index}")
        return f"card {index}"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.cards

    def nvmlDeviceGetUUID(self, card: str) -> str:  # noqa: N802
        return f"GPU-{card[-1] * 8}-beef"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in map(self._uuid_of_part, self.parts or ()):
            raise NVMLError("Not Found")
        return f"part {uuid[-1]}"

    def _uuid_of_part(self, number: int) -> str:
        return f"MIG-1234-{number}"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, part: str) -> str:  # noqa: N802
        return self.nvmlDeviceGetHandleByIndex(0)

    def nvmlDeviceGetMigMode(self, _: Any) -> list[int]:  # noqa: N802
        if self.parts is None:
            raise NVMLError("Not Supported")
        return [int(bool(self.parts)), 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, _: Any) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, _: Any, index: int) -> str:  # noqa: N802
        if index not in (self.parts or ()):
            raise NVMLError("Not Found")
        return f"part {index}"

    def nvmlDeviceGetTotalEnergyConsumption(self, _: Any) -> int:  # noqa: N802
        return _told(self.energy_mj)

    def nvmlDeviceGetPowerUsage(self, _: Any) -> int:  # noqa: N802
        return _told(self.power_mw)

    def nvmlDeviceGetClockInfo(self, _: Any, kind: int) -> int:  # noqa: N802
        assert kind == 1
        return _told(self.clock_mhz)

    def nvmlDeviceGetTemperature(self, _: Any, sensor: int) -> int:  # noqa: N802
        assert sensor == 0
        return _told(self.celsius)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: Any) -> int:  # noqa: N802
        return _told(self.reasons)

    def nvmlDeviceGetMemoryInfo(self, card: str) -> Any:  # noqa: N802
        part = (self.parts or {}).get(int(card[-1])) if card.startswith("part") else self.used
        used = _told(part)
        return SimpleNamespace(used=used, free=self.total - used)

    def nvmlDeviceGetComputeRunningProcesses(self, _: Any) -> list[Any]:  # noqa: N802
        other = SimpleNamespace(pid=os.getpid() + 1, usedGpuMemory=7)
        return [other, SimpleNamespace(pid=os.getpid(), usedGpuMemory=self.own_bytes)]

    def nvmlDeviceGetViolationStatus(self, _: Any, policy: int) -> Any:  # noqa: N802
        return SimpleNamespace(violationTime=self.slowed_ns.get(policy, 0))

    def nvmlDeviceGetProcessUtilization(self, _: Any, since: int) -> list[Any]:  # noqa: N802
        if not self.others:
            raise NVMLError("Not Found")
        return self.others


def _told(answer: int | None) -> int:
    if answer is None:
        raise NVMLError("Not Supported")
    return answer
