"""Full disks: how they are told, and that a run which met one can be gone on with.

Measuring processes import it, so it needs next to nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfsuite.domain.record import Line
from perfsuite.errors import ConfigError, DiskFull, ParityError, Unavailable, Unsupported

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_OF_DISKS = (ConfigError, DiskFull, ParityError, Unavailable, Unsupported)  # they know why
_LEAST_BYTES = 1024 * 1024  # with less room a disk is full: what failed to be written was longer


@contextmanager
def room_for(path: Path, variable: str = "PERFSUITE_HOME") -> Iterator[None]:
    """Turn the system's error for a full disk into a `DiskFull` that names `path`.

    `variable` is that of the environment which says where such files lie; '' if none does.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise full_disk(path, error.strerror or "", variable) from error


def full_disk(path: Path, why: str, variable: str = "PERFSUITE_HOME") -> DiskFull:
    """Return the error that there is no room for `path`, and what to do."""
    elsewhere = f", or let {variable} name a folder on another disk" if variable else ""
    return DiskFull(f"{path}: the disk is full ({why}); make room{elsewhere}")


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Raise `DiskFull` for whatever fails within while there is no room left for `folder`.

    Those who write into it may have words of their own for that, as engines do. What they have
    written must still be there.
    """
    try:
        yield
    except _NOT_OF_DISKS:
        raise
    except Exception as error:
        if _is_full(folder):
            raise full_disk(folder, os.strerror(errno.ENOSPC)) from error
        raise


def _is_full(folder: Path) -> bool:
    """Tell whether a disk has no room, or no places for further files, for this user."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    if found.f_blocks == 0:  # as of file systems over a network that do not count
        return False
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail  # some are kept for root
    no_more_files = found.f_files > 0 and found.f_favail == 0
    return blocks * found.f_frsize < _LEAST_BYTES or no_more_files


def require_room(line: Line) -> None:
    """Raise `DiskFull` if `line` says that there was no room, which is no fault of its cell.

    Such a line must not go on record: what failed is not tried again when a run is resumed.
    """
    if line.error is not None and line.error.kind == DiskFull.__name__:
        raise DiskFull(f"{line.error.message}; then go on with --resume: nothing measured is lost")
