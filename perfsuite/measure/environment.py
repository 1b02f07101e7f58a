"""The machine and the versions that a run is made with, read without importing an engine.

Sources: proc(5); the kernel's admin-guide for cgroup v1 (scheduler/sched-bwc) and v2 (`cpu.max`).
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perfsuite import __version__
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.processor import PROC, SYS, read_processor, text_of

SUBJECTS = ("numpy", "torch", "torchvision", "onnx", "onnxruntime", "openvino")


def environment(*, proc: Path = PROC, sys: Path = SYS) -> Environment:
    """Return the environment of this process. It names neither the host nor the user."""
    processor = read_processor(proc=proc, sys=sys)
    must_match = MustMatch(
        processor=processor.name,
        family=processor.family,
        model=processor.model,
        stepping=processor.stepping,
        flags=processor.flags,
        caches_bytes=processor.caches_bytes,
        usable_cores=_usable_cores(),
        quota_cores=quota_cores(proc=proc, sys=sys),
    )
    return Environment(must_match, _versions(), _context(proc, sys))


def usable_threads(*, proc: Path = PROC, sys: Path = SYS) -> int:
    """Return how many threads can run at once, by affinity and the container's quota."""
    quota = quota_cores(proc=proc, sys=sys)
    cores = _usable_cores()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def quota_cores(*, proc: Path = PROC, sys: Path = SYS) -> float | None:
    """Return the processor time that the container may use, in cores; None without a limit.

    A limit applies to all groups below it, so it is the lowest on the path up to the root.
    """
    limits: list[float] = []
    for controllers, path in groups_of(proc):
        for mount in _mounts(controllers, sys / "fs/cgroup"):
            for folder in upwards(mount, path):
                limit = _limit(folder)
                if limit is not None:
                    limits.append(limit)
    return min(limits, default=None)


def groups_of(proc: Path) -> Iterator[tuple[str, str]]:
    """Yield the controllers and the path of each control group that this process is in."""
    for line in text_of(proc / "self/cgroup").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:  # what stands in the place of this file may have other lines
            yield fields[1], fields[2]


def _mounts(controllers: str, root: Path) -> list[Path]:
    """Return where the group of a line of /proc/self/cgroup may be mounted.

    `controllers` is the line's second field, which is empty for cgroup v2.
    """
    if not controllers:
        return [root, root / "unified"]
    if "cpu" not in controllers.split(","):
        return []
    return list(dict.fromkeys([root / controllers, root / "cpu"]))


def upwards(mount: Path, path: str) -> list[Path]:
    """Return the folder of `path` below `mount` and all above it, up to the mount itself.

    In a container `path` may be a path of the host, which does not exist, or lead outside by `..`.
    Then only the mount is returned, which is the container's own group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _limit(folder: Path) -> float | None:
    """Return the quota that one group sets, in cores."""
    quota, period = "", ""
    fields = text_of(folder / "cpu.max").split()  # v2: "200000 100000" or "max 100000"
    if len(fields) == 2:
        quota, period = fields
    else:  # v1, where -1 means no limit
        quota = text_of(folder / "cpu.cfs_quota_us").strip()
        period = text_of(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def _usable_cores() -> int:
    """Return how many cores the threads of this process may use.

    OpenMP may bind each to a core of its own (OMP_PROC_BIND), the first one, too.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set(os.sched_getaffinity(0))
    try:
        tasks = [int(task.name) for task in (PROC / "self/task").iterdir()]
    except OSError:
        tasks = []
    for task in tasks:
        with contextlib.suppress(OSError):  # it has ended since
            cores |= os.sched_getaffinity(task)
    return len(cores)


def _versions() -> dict[str, str]:
    versions = {"perfsuite": __version__, "python": platform.python_version()}
    for name in SUBJECTS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue  # not installed: not part of what is measured
    return versions


def _context(proc: Path, sys: Path) -> dict[str, str]:
    cpu = sys / "devices/system/cpu"
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", text_of(proc / "meminfo"), flags=re.MULTILINE)
    turbo_off = text_of(cpu / "intel_pstate/no_turbo").strip()
    facts = {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "memory_bytes": str(int(memory[1]) * 1024) if memory else "",
        "load_average": text_of(proc / "loadavg").partition(" ")[0],  # of the last minute
        "governor": text_of(cpu / "cpu0/cpufreq/scaling_governor").strip(),
        # What a governor means depends on the driver: "powersave" follows the load with some.
        "frequency_driver": text_of(cpu / "cpu0/cpufreq/scaling_driver").strip(),
        "energy_preference": text_of(cpu / "cpu0/cpufreq/energy_performance_preference").strip(),
        "boost": text_of(cpu / "cpufreq/boost").strip() or {"0": "1", "1": "0"}.get(turbo_off, ""),
    }
    return {name: value for name, value in facts.items() if value}
