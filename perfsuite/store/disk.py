"""Locks and durable files, for all writers of files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from perfsuite.errors import ConfigError
from perfsuite.store.room import room_for

_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP)  # of file systems that cannot wait for a folder


def writable(folder: Path) -> Path:
    """Return `folder`, made if need be; raise `ConfigError` when it cannot be written.

    On a full disk it is `DiskFull`.
    """
    try:
        with room_for(folder):
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

    Raises `ConfigError` when the folder cannot be written, `DiskFull` when there is no room.
    """
    lock = FileLock(writable(folder) / name)
    with room_for(folder / name):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path`; the file or folder written there gets the name `path` at the end.

    So `path` is what it was before, or all that was written, also after the power has failed. If
    anything fails, what was written is removed. A folder at `path` must not exist. The path beside
    it, which ends with `.partial`, is another one in each process.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        put_in_place(beside, path)
    except BaseException:
        with suppress(OSError):  # what went wrong is told, and not what else did
            shutil.rmtree(beside) if beside.is_dir() else beside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write the file `path` so that a reader finds the one of before or the new one, each whole."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def append_whole(descriptor: int, data: bytes) -> None:
    """Append all of `data` to an open file, and wait until it is on the disk.

    If that fails, as on a full disk, the file ends where it did before, and the error is raised.
    """
    before = os.fstat(descriptor).st_size
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def put_in_place(beside: Path, path: Path) -> None:
    """Rename the file or folder `beside` to `path`, once its content is on the disk."""
    files = [file for file in beside.rglob("*") if file.is_file()] if beside.is_dir() else [beside]
    for file in files:
        _sync(file)
    beside.replace(path)
    try:
        _sync(path.parent)  # the new name
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
