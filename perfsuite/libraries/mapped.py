"""Shared objects that this process has mapped, and thread pools, for all libraries."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from perfsuite.domain.record import EvidenceItem

_MAPS = Path("/proc/self/maps")


def shared_objects(maps: str | None = None) -> tuple[str, ...]:
    """Return the file names of the mapped shared objects, sorted, without their folders.

    `maps` is the text of `/proc/PID/maps` (proc(5)); by default this process's own. On
    other systems than Linux the result is empty.
    """
    if maps is None:
        if not sys.platform.startswith("linux"):
            return ()
        maps = _MAPS.read_text(errors="replace")
    names = set()
    for line in maps.splitlines():
        columns = line.split(maxsplit=5)
        if len(columns) == 6 and columns[5].startswith("/"):
            name = PurePosixPath(columns[5].removesuffix(" (deleted)")).name
            if re.search(r"\.so(\.|$)|\.dylib$", name):
                names.add(name)
    return tuple(sorted(names))


def observed(name: str, pattern: str, objects: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield one observed item for each mapped file whose name matches `pattern`."""
    for file in objects:
        if re.match(pattern, file):
            yield EvidenceItem("observed", "library", name, file)


def thread_pools(name: str, api: str) -> Iterator[EvidenceItem]:
    """Yield what the loaded pools of one kind (threadpoolctl's `internal_api`) report."""
    for pool in _pools():
        if pool["internal_api"] == api:
            if pool.get("version"):
                yield EvidenceItem("reported", "version", name, str(pool["version"]))
            yield EvidenceItem("reported", "threads", name, str(pool["num_threads"]))


def module_version(name: str, module: str) -> Iterator[EvidenceItem]:
    """Yield the version of a Python module if it is imported already; it is not imported here."""
    version = getattr(sys.modules.get(module), "__version__", None)
    if version is not None:
        yield EvidenceItem("reported", "version", name, str(version))


def torch_build() -> str:
    """Return torch's text on its build configuration; '' if torch is not imported already."""
    torch = sys.modules.get("torch")
    return str(torch.__config__.show()) if torch is not None else ""


def _pools() -> list[dict[str, Any]]:
    import threadpoolctl

    pools: list[dict[str, Any]] = threadpoolctl.threadpool_info()
    return pools
