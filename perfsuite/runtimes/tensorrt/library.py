"""TensorRT's Python module, its messages, and what its objects lack, in words."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from perfsuite.errors import BuildError, PerfsuiteError, Unavailable
from perfsuite.runtimes.shared.base import lacks_operator, trimmed

_DRIVER = Path("/proc/driver/nvidia/version")
_DRIVER_VERSION = re.compile(r"NVRM version:.*?\s(\d+\.\d+(?:\.\d+)*)\s")
# What a builder says of an operator that its parser takes and no kernel computes.
_NO_KERNEL = (
    re.compile(r"(\S+) has no runners that implement it"),
    re.compile(r"Could not find any implementation for node (\S+)"),
)
_COUNTED = re.compile(r"_\d+$")  # of layers, of which a node may become several
_MEMORY = re.compile(
    r"out of memory|OutOfMemory|cudaErrorMemoryAllocation|insufficient memory", re.I
)
_OLD_DRIVER = re.compile(
    r"driver version is insufficient|CUDA driver.*(too old|older)|error:? 35\b", re.I
)
# Of cards that are older than this version, or newer.
_NO_TARGET = re.compile(r"Target GPU SM ?\d+ is not supported|Unsupported SM\b", re.I)
_NO_DEVICE = re.compile(r"no CUDA-capable device|CUDA initialization failure|libcuda\.so", re.I)


def imported(name: str) -> Any:
    """Return the engine's module; a shared object that it lacks is told by what catches that."""
    return import_module(name)


def driver_version(file: Path = _DRIVER) -> str:
    """Return the version of NVIDIA's driver, as the kernel tells it; '' without one."""
    try:
        found = _DRIVER_VERSION.search(file.read_text())
    except OSError:
        return ""
    return found[1] if found else "unknown"


class Messages:
    """What the engine says from now on; a warning or an error may be the only reason given."""

    def __init__(self, trt: Any) -> None:
        self.logger: Any = _logger(trt.ILogger)
        self._severity, self._begin = trt.ILogger.Severity, len(self.logger.told)

    @property
    def errors(self) -> str:
        """Return the errors, each once; without one the warnings."""
        kinds = (self._severity.INTERNAL_ERROR, self._severity.ERROR)
        told = self.logger.told[self._begin :]
        found = [text for kind, text in told if kind in kinds] or [text for _, text in told]
        return "\n".join(dict.fromkeys(found))


@cache
def _logger(base: Any) -> Any:
    """Return the logger of this process: the library minds one at a time."""
    severity = base.Severity
    kept = (severity.INTERNAL_ERROR, severity.ERROR, severity.WARNING)

    class Log(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self.told: list[tuple[Any, str]] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in kept:
                self.told.append((severity, msg))

    return Log()


def refusal(engine: str, said: str, where: Path, operators: dict[str, str]) -> PerfsuiteError:
    """Return the error for a graph that the engine does not build, by what it `said`.

    `operators` are those of the graph's nodes, by the nodes' names.
    """
    if _MEMORY.search(said):
        return BuildError(
            f"{engine}: the card has too little memory to build {where.name}: end what else holds "
            f"memory there, or take a smaller batch ({trimmed(said)})"
        )
    if (unavailable := no_card(engine, said)) is not None:
        return unavailable
    for pattern in _NO_KERNEL:
        found = pattern.search(said)
        name = found[1].strip("{}[]().,;") if found else ""
        for known in (name, _COUNTED.sub("", name)):
            if known in operators:
                return lacks_operator(engine, operators[known], where)
    return BuildError(
        f"{engine} cannot build {where.name}: {trimmed(said) or 'it does not say why'}"
    )


def no_card(engine: str, said: str) -> Unavailable | None:
    """Return the error for a driver or a card that is missing or that the engine is not for.

    None where what the engine `said` is about something else.
    """
    if _NO_TARGET.search(said):
        return Unavailable(
            f"{engine}: this version has no kernels for the card ({trimmed(said)}): for a card "
            f"that is older take pytorch, for a newer one a newer {engine}"
        )
    if _OLD_DRIVER.search(said):
        return Unavailable(
            f"{engine}: the driver is too old for it ({trimmed(said)}): install a newer one from "
            f"NVIDIA, or an older {engine}"
        )
    if _NO_DEVICE.search(said):
        return Unavailable(
            f"{engine}: it finds no NVIDIA card that it can use ({trimmed(said)}); `nvidia-smi` "
            f"must list one; in a container it must be passed on, as by `docker run --gpus all`"
        )
    return None
