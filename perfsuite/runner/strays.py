"""What a worker started outside of its own process group, which a signal to the group misses."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


class Strays:
    """The processes that a worker started, and these in turn, in sessions of their own.

    They are kept by descriptors (pidfd_open(2)), so that no other process is taken for one of them.
    Where the system does not tell of them, there are none.
    """

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._found: dict[int, int] = {}  # process to descriptor

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of those that have been found."""
        return list(self._found)

    def look(self) -> None:
        """Find those that there are now; the worker must still be there."""
        for pid in set(_descendants(self._worker)) - self._found.keys():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.getpgid(pid) != self._worker:
                    self._found[pid] = os.pidfd_open(pid)

    def signal(self, number: int) -> None:
        """Send a signal to all of them that have been found."""
        for descriptor in self._found.values():
            with contextlib.suppress(OSError):  # it has ended, or is another user's now
                signal.pidfd_send_signal(descriptor, number)

    def forget(self) -> None:
        """Close the descriptors."""
        while self._found:
            os.close(self._found.popitem()[1])


def _descendants(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(one) for one in file.read_text().split()]
        except OSError:  # that thread has ended
            continue
        for child in children:
            yield child
            yield from _descendants(child)
