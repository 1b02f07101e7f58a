"""The lock of all who measure on this machine: while one measures, the others wait."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

FILE = "perfsuite-measuring.lock"  # in the system's temporary folder, which its users share
_NOW, _NEXT = 0, 1  # the bytes of the file that are locked: by who measures, by who does next
_MOST = 4096  # bytes of what stands in the file


class Holder(msgspec.Struct, frozen=True):
    """Who measures: the folder of the run, and its process."""

    run: str
    pid: int


class MachineLock:
    """The lock, as one run sees it; the kernel releases that of a process which is killed.

    `tell` is called at most once, with a warning: that another run measures here too, or that this
    cannot be known, because the file of the lock cannot be used. A run goes on without it.

    It locks bytes (fcntl(2)), not the file (flock(2)), because those locks are not inherited by the
    processes that a run starts, which may outlive it.
    """

    def __init__(self, run: Path, tell: Callable[[str], None], file: Path | None = None) -> None:
        self.file = file or Path(tempfile.gettempdir()) / FILE
        self._me = Holder(str(run.resolve()), os.getpid())
        self._tell = tell
        self._told = False
        self._descriptor: int | None = None

    def __enter__(self) -> MachineLock:
        try:
            self._descriptor = _opened(self.file)
        except OSError as error:
            self._cannot(error)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def look(self) -> None:
        """Tell if another run measures now; do not wait for it."""
        if self._descriptor is None:
            return
        try:
            if self._try(_NOW):
                self._release(_NOW)
        except OSError as error:
            self._cannot(error)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; wait while another run does, and no longer than until it lets go once.

        Who waits is the next, also if who measures wants to go on at once.
        """
        if self._descriptor is None:
            yield
            return
        try:
            self._wait()
        except OSError as error:
            self._cannot(error)
            yield
            return
        try:
            yield
        finally:
            self._release(_NOW)

    def _wait(self) -> None:
        assert self._descriptor is not None
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, _NEXT)
        try:
            if not self._try(_NOW):
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, _NOW)
            text = msgspec.json.encode(self._me)
            with suppress(OSError):  # a full disk: the others are not told who it is
                os.ftruncate(self._descriptor, os.pwrite(self._descriptor, text, 0))
        finally:
            self._release(_NEXT)

    def _try(self, byte: int) -> bool:
        """Return whether the byte could be locked at once; tell about the other run if not."""
        assert self._descriptor is not None
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, which means the same here
            self._say(
                f"{self._other()} measures on this machine too: what one prepares disturbs what "
                f"the other measures, and both take turns, round by round"
            )
            return False
        return True

    def _release(self, byte: int) -> None:
        assert self._descriptor is not None
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, byte)

    def _other(self) -> str:
        assert self._descriptor is not None
        try:
            found = msgspec.json.decode(os.pread(self._descriptor, _MOST, 0), type=Holder)
        except (OSError, msgspec.DecodeError):
            return "another run"
        # Anybody may write into the file: nothing of it gets at a terminal as it is.
        folder = "".join(one for one in found.run if one.isprintable())
        suspended = ", which is suspended and holds up this one" if _is_stopped(found.pid) else ""
        return f"another run ({folder}, process {found.pid}{suspended})"

    def _cannot(self, error: OSError) -> None:
        self._say(
            f"{self.file}: cannot be locked ({error.strerror}): other runs on this machine are "
            f"not noticed, and they and this one may disturb each other"
        )

    def _say(self, text: str) -> None:
        if not self._told:
            self._told = True
            self._tell(text)


def _is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, as by Ctrl-Z; False where the system does not tell."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return state[:1] == ["T"]


def _opened(file: Path) -> int:
    """Return a descriptor of the file, which anybody may lock; it is made if need be."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(file, flags)
    except FileNotFoundError:
        pass
    # Not O_CREAT alone: in a folder for all users, Linux refuses it for a file of another one.
    try:
        descriptor = os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(file, flags)
    os.fchmod(descriptor, 0o666)  # whatever the umask is
    return descriptor
