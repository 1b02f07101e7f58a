"""Locks, errors of full disks and durable files, for all writers of files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from perfsuite.errors import ConfigError, PerfsuiteError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def writable(folder: Path) -> Path:
    """Return `folder`, made if need be; raise `ConfigError` when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}; let the environment variable "
            "PERFSUITE_HOME name a folder that can"
        ) from error
    return folder


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock `name` in `folder`, which is made; wait while another process holds it.

    Raises `ConfigError` when the folder cannot be written.
    """
    with FileLock(writable(folder) / name):
        yield


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Turn the system's error for a full disk into a `PerfsuiteError` that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise PerfsuiteError(
            f"{path}: the disk is full ({error.strerror}); make room, or let PERFSUITE_HOME name "
            "a folder on another disk"
        ) from error


def flush(folder: Path) -> None:
    """Wait until all files in `folder` are on the disk, so that they can be renamed safely."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
