"""Where a run is made: the machine and the versions, read without importing an engine.

Sources: proc(5); the kernel's admin-guide for cgroup v1 (scheduler/sched-bwc) and v2 (`cpu.max`);
its ABI documents for /sys/devices/system/cpu.
"""

from __future__ import annotations

import math
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from perfsuite import __version__
from perfsuite.domain.environment import Environment, MustMatch

PROC = Path("/proc")
SYS = Path("/sys")

SUBJECTS = ("numpy", "torch", "torchvision", "onnx", "onnxruntime", "openvino", "nncf")

# Instruction sets that decide which kernels an engine picks.
FEATURES = (
    *("sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("avx512_vpopcntdq", "avx512_bitalg", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16", "sme"),
)


def environment(*, proc: Path = PROC, sys: Path = SYS) -> Environment:
    """Return the environment of this process. It names neither the host nor the user."""
    info = _cpuinfo(proc)
    must_match = MustMatch(
        processor=_processor(info),
        family=_number(info.get("cpu family") or info.get("CPU architecture")),
        model=_number(info.get("model") or info.get("CPU part")),
        stepping=_number(info.get("stepping") or info.get("CPU revision")),
        flags=_flags(info),
        caches_bytes=_caches_bytes(sys),
        usable_cores=_usable_cores(),
        quota_cores=quota_cores(proc=proc, sys=sys),
    )
    return Environment(must_match, _versions(), _context(proc, sys))


def usable_threads(*, proc: Path = PROC, sys: Path = SYS) -> int:
    """Return how many threads can run at once: by affinity and by the container's quota."""
    quota = quota_cores(proc=proc, sys=sys)
    cores = _usable_cores()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def processor_features(*, proc: Path = PROC) -> tuple[str, ...]:
    """Return those of `FEATURES` that the processor has, as the kernel spells them, sorted."""
    return tuple(sorted(set(FEATURES).intersection(_flags(_cpuinfo(proc)))))


def quota_cores(*, proc: Path = PROC, sys: Path = SYS) -> float | None:
    """Return the processor time that the container may use, in cores; None without a limit.

    A limit holds for all groups below it: the tightest on the way up to the root counts.
    """
    limits: list[float] = []
    for line in _read(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for mount in _mounts(controllers, sys / "fs/cgroup"):
            for folder in _upwards(mount, path):
                limit = _limit(folder)
                if limit is not None:
                    limits.append(limit)
    return min(limits, default=None)


def _mounts(controllers: str, root: Path) -> list[Path]:
    """Return where a line of /proc/self/cgroup may be mounted: v2 has an empty second field."""
    if not controllers:
        return [root, root / "unified"]
    if "cpu" not in controllers.split(","):
        return []
    return list(dict.fromkeys([root / controllers, root / "cpu"]))


def _upwards(mount: Path, path: str) -> list[Path]:
    """Return the folder of `path` below `mount` and all above it, up to the mount itself.

    In a container `path` may be the host's and not exist, or lead outside by `..`: what is left of
    it then is the mount, which is the container's own group.
    """
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _limit(folder: Path) -> float | None:
    """Return the quota that one group sets, in cores."""
    quota, period = "", ""
    fields = _read(folder / "cpu.max").split()  # v2: "200000 100000" or "max 100000"
    if len(fields) == 2:
        quota, period = fields
    else:  # v1, where -1 means no limit
        quota = _read(folder / "cpu.cfs_quota_us").strip()
        period = _read(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo(proc: Path) -> dict[str, str]:
    """Return the fields of the first processor; none where there is no /proc."""
    fields: dict[str, str] = {}
    for line in _read(proc / "cpuinfo").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _processor(info: dict[str, str]) -> str:
    """Return vendor and model name; ARM kernels give numbers instead of names."""
    names = [info.get("vendor_id", ""), info.get("model name", "")]
    if not any(names) and "CPU implementer" in info:
        names = [f"implementer {info['CPU implementer']}", f"part {info.get('CPU part', '?')}"]
    return " ".join(name for name in names if name) or platform.processor() or platform.machine()


def _flags(info: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted(set((info.get("flags") or info.get("Features") or "").split())))


def _number(text: str | None) -> int:
    """Return a decimal or hexadecimal number, or -1 where the kernel gives none."""
    try:
        return int(text or "", 0)
    except ValueError:
        return -1


def _caches_bytes(sys: Path) -> dict[str, int]:
    """Return the size of each cache that the first processor sees, such as {"L1d": 32768}."""
    caches: dict[str, int] = {}
    for folder in sorted((sys / "devices/system/cpu/cpu0/cache").glob("index*")):
        level, size = _read(folder / "level").strip(), _read(folder / "size").strip()
        found = re.fullmatch(r"(\d+)([KMG]?)", size)
        if level and found:
            kind = {"Data": "d", "Instruction": "i"}.get(_read(folder / "type").strip(), "")
            unit = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[found[2]]
            caches[f"L{level}{kind}"] = int(found[1]) * unit
    return caches


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
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", _read(proc / "meminfo"), flags=re.MULTILINE)
    turbo_off = _read(cpu / "intel_pstate/no_turbo").strip()
    facts = {
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "memory_bytes": str(int(memory[1]) * 1024) if memory else "",
        "load_average": _read(proc / "loadavg").partition(" ")[0],  # of the last minute
        "governor": _read(cpu / "cpu0/cpufreq/scaling_governor").strip(),
        "boost": _read(cpu / "cpufreq/boost").strip() or {"0": "1", "1": "0"}.get(turbo_off, ""),
    }
    return {name: value for name, value in facts.items() if value}


def _read(path: Path) -> str:
    """Return a file's text, or nothing: most of these files exist on some systems only."""
    try:
        return path.read_text()
    except OSError:
        return ""
