"""How a measuring process is told that it is its turn: one pipe there, one back."""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from perfsuite.measure.latency import Turn

LONGEST_MS = 2**31 - 1  # that poll(2) can wait: 24 days
SLICE, FORGET, END = b"s", b"f", b"e"  # what the parent may say; end of file says END too


class Taken(NamedTuple):
    """What a process has timed so far."""

    calls: int
    spent_ns: int


class Channel:
    """The parent's ends of the two pipes; a context manager that closes them."""

    def __init__(self) -> None:
        command, self._say = os.pipe()
        self._hear, answer = os.pipe()
        self.theirs: tuple[int, ...] = (command, answer)  # what the worker inherits

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self._say, self._hear, *self.theirs):
            os.close(descriptor)
        self.theirs = ()

    def keep_ours(self) -> None:
        """Close the worker's ends, once it has them: then its end is seen as end of file."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = ()

    def say(self, command: bytes) -> None:
        """Tell the worker what is to be done; one that has ended hears nothing."""
        try:
            os.write(self._say, command)
        except BrokenPipeError:
            return  # `hear` finds that out

    def hear(self, timeout_s: float, worker: int | None = None) -> Taken | None:
        """Return what the worker has timed so far, once it waits for its turn.

        None where it has ended or says nothing in time. The caller sleeps meanwhile. `worker` is
        its process: what that has started may outlive it and keep the pipe open.
        """
        poll = select.poll()
        poll.register(self._hear, select.POLLIN)
        with ExitStack() as stack:
            if worker is not None and hasattr(os, "pidfd_open"):
                ended = os.pidfd_open(worker)
                stack.callback(os.close, ended)
                poll.register(ended, select.POLLIN)
            # Asked again, because the time is over also if this process was suspended meanwhile
            # (Ctrl-Z), and the worker was not.
            found = dict(poll.poll(min(timeout_s * 1000, LONGEST_MS)) or poll.poll(0))
        words = os.read(self._hear, 64).split() if self._hear in found else []
        return Taken(*map(int, words)) if words else None


class WorkerTurns:
    """The worker's side: it waits here, and is stopped while it does."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers

    def wait(self, calls: int, spent_ns: int) -> Turn:
        """Say what was timed so far; return what is to be done once it is this process's turn."""
        os.write(self._answers, f"{calls} {spent_ns}\n".encode())
        told = os.read(self._commands, 1)
        return "slice" if told == SLICE else "forget" if told == FORGET else "end"
