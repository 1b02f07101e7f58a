"""How much memory there is left, and how much a process needs.

Sources: proc(5); the kernel's admin-guide for cgroup v1 (memory) and v2 (`memory.max`).
"""

from __future__ import annotations

import re
from pathlib import Path

from perfsuite.measure.environment import groups_of, upwards
from perfsuite.processor import PROC, SYS, text_of


def available_bytes(*, proc: Path = PROC, sys: Path = SYS) -> int | None:
    """Return the bytes that may still be used without swapping; None where nothing tells.

    It is what the machine has left, or less: what the least of the groups has left that this
    process is in, as of a container. Files that were read and can be dropped count as left.
    """
    left = [*_of_groups(proc, sys)]
    free = re.search(r"^MemAvailable:\s*(\d+) kB$", text_of(proc / "meminfo"), flags=re.MULTILINE)
    if free is not None:
        left.append(int(free[1]) * 1024)
    return min(left, default=None)


def peak_bytes_of(pid: int, *, proc: Path = PROC) -> int:
    """Return the most memory of a process that was resident; 0 where nothing tells."""
    found = re.findall(
        r"^Vm(?:HWM|RSS):\s*(\d+) kB$", text_of(proc / f"{pid}/status"), re.MULTILINE
    )
    return max((int(one) * 1024 for one in found), default=0)


def _of_groups(proc: Path, sys: Path) -> list[int]:
    """Return what is left of each limit on the paths of this process's groups to their roots."""
    found = []
    for controllers, path in groups_of(proc):
        root = sys / "fs/cgroup"
        if not controllers:
            mounts, names = [root, root / "unified"], ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            mounts = [root / "memory"]
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        folders = (folder for mount in mounts for folder in upwards(mount, path))
        found += [left for folder in folders if (left := _left(folder, *names)) is not None]
    return found


def _left(folder: Path, limit: str, usage: str) -> int | None:
    most, used = text_of(folder / limit).strip(), text_of(folder / usage).strip()
    if not (most.isdigit() and used.isdigit()):  # v2 says "max" where there is no limit
        return None
    dropped = re.search(
        r"^(?:total_)?inactive_file (\d+)$", text_of(folder / "memory.stat"), flags=re.MULTILINE
    )
    return max(0, int(most) - int(used) + (int(dropped[1]) if dropped else 0))
