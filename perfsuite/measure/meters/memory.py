"""The peak memory of this process, by Linux's high-water mark (`VmHWM`), which can be reset.

`ru_maxrss` is not used: it cannot be reset and survives exec, so that a worker would report its
parent's peak.
Sources: proc_pid_status(5), proc_pid_clear_refs(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from perfsuite.domain.meter import Phase
from perfsuite.domain.metrics import METRICS, Metric
from perfsuite.errors import Unavailable

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")

# The kernel counts pages per core and adds them up with a delay, so both figures are inexact.
SLACK_BYTES = 32 * 1024 * 1024


class Memory:
    """The peak memory while loading, and the peak after that, in warm-up and timed calls."""

    metrics: ClassVar[tuple[Metric, ...]] = (METRICS["load_peak_bytes"], METRICS["run_peak_bytes"])

    def start(self, phase: Phase, device: str) -> None:
        """Forget the peak of what was before."""
        if phase == "load":
            reset_peak()

    def stop(self, phase: Phase, calls: int) -> Mapping[str, float]:
        """Return the peak of the phase; that of calls begins where loading ended."""
        peak = float(peak_bytes())
        if phase == "calls":
            return {"run_peak_bytes": peak}
        reset_peak()
        return {"load_peak_bytes": peak}


def reset_peak(*, status: Path = STATUS, clear_refs: Path = CLEAR_REFS) -> None:
    """Reset the high-water mark to the memory that is resident now.

    Raises `Unavailable` if that is not possible or had no effect.
    """
    try:
        clear_refs.write_text("5")
    except OSError as error:
        raise Unavailable(
            f"the peak of memory cannot be reset: writing {clear_refs} failed ({error.strerror}); "
            "it needs Linux with /proc mounted writable"
        ) from error
    peak, resident = _fields(status, "VmHWM", "VmRSS")
    if peak > resident + SLACK_BYTES:
        raise Unavailable(
            f"the peak of memory cannot be reset: {clear_refs} was written, but {status} still "
            f"says {peak} bytes with {resident} resident; this kernel or sandbox ignores it"
        )


def peak_bytes(*, status: Path = STATUS) -> int:
    """Return the most bytes that were resident since `reset_peak`. Raises `Unavailable`."""
    return _fields(status, "VmHWM")[0]


def _fields(status: Path, *names: str) -> list[int]:
    """Return the named fields of one reading of `status`, in bytes."""
    try:
        text = status.read_text()
    except OSError as error:
        raise Unavailable(
            f"memory cannot be measured: reading {status} failed ({error.strerror}); "
            "it needs Linux with /proc mounted"
        ) from error
    values = []
    for name in names:
        found = re.search(rf"^{name}:\s*(\d+) kB$", text, flags=re.MULTILINE)
        if found is None:
            raise Unavailable(f"memory cannot be measured: {status} has no {name} on this kernel")
        values.append(int(found[1]) * 1024)
    return values
