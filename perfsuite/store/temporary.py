"""Temporary folders that do not stay behind, not even after their process was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX = "perfsuite-tmp-"
_FRESH_S = 60.0  # for which a folder is left alone: it may just be about to be locked


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A temporary folder which is locked as long as its process lives: see `sweep`."""

    def __init__(self) -> None:
        super().__init__(prefix=PREFIX)
        self._lock: int | None = os.open(self.name, os.O_RDONLY | os.O_DIRECTORY)
        with suppress(OSError):  # a file system without locks: then `sweep` leaves it alone
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def cleanup(self) -> None:
        """Remove the folder."""
        super().cleanup()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep() -> None:
    """Remove this user's temporary folders whose processes are gone, as by SIGKILL.

    What cannot be removed stays: it only takes up room.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            _sweep(folder)


def _sweep(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.getuid() or time.time() - found.st_mtime < _FRESH_S:
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)
