"""Shared objects that this process has mapped, and thread pools, for all libraries."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from perfsuite.domain.instruction_sets import BASELINE, named
from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries.vectors import VECTORS, vectors_of_core

_MAPS = Path("/proc/self/maps")


def shared_objects(maps: str | None = None) -> tuple[str, ...]:
    """Return the file names of the mapped shared objects, sorted, without their folders.

    `maps` is the text of `/proc/PID/maps` (proc(5)); by default this process's own. On
    other systems than Linux, and where nobody may read that, the result is empty.
    """
    if maps is None:
        maps = _maps()
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
    """Yield what the loaded pools of one kind (threadpoolctl's `internal_api`) report.

    An OpenBLAS names the processor that its kernels were written for.
    """
    for pool in pools():
        if pool["internal_api"] == api:
            if pool.get("version"):
                yield EvidenceItem("reported", "version", name, str(pool["version"]))
            yield EvidenceItem("reported", "threads", name, str(pool["num_threads"]))
            core = vectors_of_core(str(pool.get("architecture")))
            if core is not None:
                level = named(VECTORS[core]) or BASELINE
                yield EvidenceItem("reported", "instruction set", name, level)


def module_version(name: str, module: str) -> Iterator[EvidenceItem]:
    """Yield the version of a Python module if it is imported already; it is not imported here."""
    found = getattr(sys.modules.get(module), "__version__", None)
    if found is not None:
        yield EvidenceItem("reported", "version", name, str(found))


def package_version(name: str, packages: Sequence[str]) -> Iterator[EvidenceItem]:
    """Yield the version of the first of these packages that is installed; it is not imported."""
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            yield EvidenceItem("reported", "version", name, version(package))
            return


def torch_build() -> str:
    """Return torch's text on its build configuration; '' if torch is not imported already."""
    torch = sys.modules.get("torch")
    return str(torch.__config__.show()) if torch is not None else ""


def _maps() -> str:
    try:
        return _MAPS.read_text(errors="replace")
    except OSError:
        return ""


def pools() -> list[dict[str, Any]]:
    """Return what threadpoolctl says of each thread pool; nothing where it fails."""
    return _pools()[0]


def not_seen() -> Iterator[EvidenceItem]:
    """Yield why mapped files or thread pools cannot be seen, where they cannot."""
    if sys.platform.startswith("linux") and not _maps():
        text = f"{_MAPS} cannot be read, so that nobody sees which files are loaded"
        yield EvidenceItem("reported", "libraries", "none", text)
    if why := _pools()[1]:
        text = f"threadpoolctl fails, so that nobody sees thread pools: {why}"
        yield EvidenceItem("reported", "thread pools", "none", text)


def not_preloaded(asked: str | None = None) -> Iterator[EvidenceItem]:
    """Yield what LD_PRELOAD names and the dynamic linker did not load, as it only warns of that.

    `asked` is the variable's value, by default that of this process; dlopen(3) tells what is there.
    """
    if asked is None:
        asked = os.environ.get("LD_PRELOAD", "")
    if not hasattr(os, "RTLD_NOLOAD"):
        return
    for name in filter(None, re.split(r"[\s:]+", asked)):
        try:
            ctypes.CDLL(name, os.RTLD_NOLOAD | os.RTLD_LAZY)
        except OSError:
            yield EvidenceItem("observed", "preload", PurePosixPath(name).name, "not loaded")


def _pools() -> tuple[list[dict[str, Any]], str]:
    """Return what threadpoolctl says, and why it says nothing, if it fails."""
    try:
        import threadpoolctl

        return threadpoolctl.threadpool_info(), ""
    except Exception as error:  # noqa: BLE001 - it opens whatever files are mapped
        said = re.sub(r"/\S*/", "", str(error))  # no path of this machine
        return [], f"{type(error).__name__}: {said}"
