"""The lock of all who measure on this machine: while one measures, the others wait."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

FILE = "perfsuite-measuring.lock"
VARIABLE = "PERFSUITE_LOCK"  # names another file, as for tests
# Folders that all users of a machine share, whatever their TMPDIR is; the first that is there.
_FOLDERS = ("/dev/shm", "/tmp")
_NOW, _NEXT = 0, 1  # the bytes of the file that are locked: by who measures, by who does next
_MOST = 4096  # bytes of what stands in the file
_LOOK_S = 0.5  # between two looks of who waits, which measures nothing meanwhile
_GONE_S = 10.0  # after which nobody still is about to write its name
_LIMIT_S = 3600.0  # that one run is waited for: no round takes so long


class Holder(msgspec.Struct, frozen=True):
    """Who measures: the folder of the run, its process, and where that number is valid."""

    run: str
    pid: int
    namespace: str = ""


class MachineLock:
    """The lock, as one run sees it; the kernel releases that of a process which is killed.

    `tell` is called with warnings: once that another run measures here too, once in each wait that
    it is suspended, and once that all this cannot be known, because the file of the lock cannot be
    used. A run goes on without it; also where nobody lets go of it, as anybody may lock the file.

    It locks bytes (fcntl(2)), not the file (flock(2)), because those locks are not inherited by the
    processes that a run starts, which may outlive it.
    """

    def __init__(self, run: Path, tell: Callable[[str], None], file: Path | None = None) -> None:
        self.file = file or _place()
        self._me = Holder(str(run.resolve()), os.getpid(), _namespace())
        self._tell = tell
        self._told: set[str] = set()
        self._suspended = False  # whether that is told, of who is waited for
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
        if not self._taken():
            yield
            return
        try:
            yield
        finally:
            self._release(_NOW)

    def _taken(self) -> bool:
        """Return, after waiting for it, whether this run has the lock."""
        if self._descriptor is None:
            return False
        self._suspended = False
        try:
            if not self._wait(_NEXT):
                return False
            try:
                if not self._wait(_NOW):
                    return False
                text = msgspec.json.encode(self._me)
                with suppress(OSError):  # a full disk: the others are not told who it is
                    os.ftruncate(self._descriptor, os.pwrite(self._descriptor, text, 0))
            finally:
                self._release(_NEXT)
        except OSError as error:
            self._cannot(error)
            return False
        return True

    def _wait(self, byte: int) -> bool:
        """Return whether the byte is locked now; False once this run waits no more."""
        seen, waited_s = self._holder(), 0.0
        while not self._try(byte):
            time.sleep(_LOOK_S)
            holder = self._holder()
            seen, waited_s = holder, waited_s + _LOOK_S if holder == seen else 0.0
            if waited_s >= _GONE_S and _is_gone(holder):
                self._go_on("is gone, and somebody else keeps its place")
                return False
            if waited_s >= _LIMIT_S:
                self._go_on(f"has not let go for {_LIMIT_S / 60:g} minutes")
                return False
        return True

    def _go_on(self, why: str) -> None:
        """Give the lock up for good."""
        assert self._descriptor is not None
        self._say(
            "gone on",
            f"{self._other(self._holder())} {why}: this run goes on without the lock of "
            f"{self.file}, and what it measures may be disturbed",
        )
        descriptor, self._descriptor = self._descriptor, None
        os.close(descriptor)  # which releases all

    def _try(self, byte: int) -> bool:
        """Return whether the byte could be locked at once; tell about the other run if not."""
        assert self._descriptor is not None
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, which means the same here
            self._tell_of_other()
            return False
        return True

    def _tell_of_other(self) -> None:
        holder = self._holder()
        suspended = holder is not None and _is_stopped(holder.pid)
        self._say(
            "other",
            f"{self._other(holder)} measures on this machine too: what one prepares disturbs what "
            f"the other measures, and both take turns, round by round",
            more=suspended and not self._suspended,
        )
        self._suspended = self._suspended or suspended

    def _release(self, byte: int) -> None:
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, byte)

    def _holder(self) -> Holder | None:
        """Return who stands in the file; None if that is nobody."""
        assert self._descriptor is not None
        try:
            return msgspec.json.decode(os.pread(self._descriptor, _MOST, 0), type=Holder)
        except (OSError, msgspec.DecodeError):
            return None

    def _other(self, holder: Holder | None) -> str:
        # Its own name still stands there where the other run is about to write its own.
        if holder is None or holder == self._me:
            return "another run"
        # Anybody may write into the file: nothing of it gets at a terminal as it is.
        folder = "".join(one for one in holder.run if one.isprintable())
        stopped = _is_stopped(holder.pid)
        suspended = ", which is suspended and holds up this one" if stopped else ""
        return f"another run ({folder}, process {holder.pid}{suspended})"

    def _cannot(self, error: OSError) -> None:
        self._say(
            "cannot",
            f"{self.file}: cannot be locked ({error.strerror}): other runs on this machine are "
            f"not noticed, and they and this one may disturb each other",
        )

    def _say(self, what: str, text: str, *, more: bool = False) -> None:
        if more or what not in self._told:
            self._told.add(what)
            self._tell(text)


def _place() -> Path:
    """Return the file of the lock, the same for all users of this machine."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    shared = (one for one in _FOLDERS if Path(one).is_dir() and os.access(one, os.W_OK))
    return Path(next(shared, None) or tempfile.gettempdir()) / FILE


def _namespace() -> str:
    """Return what names the process numbers of this system, or of this container."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _is_gone(holder: Holder | None) -> bool:
    """Return whether there is surely no such process; in another container there may be."""
    if holder is None or not holder.namespace or holder.namespace != _namespace():
        return False
    return not Path(f"/proc/{holder.pid}").exists()


def _is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, as by Ctrl-Z; False where the system does not tell."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return state[:1] == ["T"]


def _opened(file: Path) -> int:
    """Return a descriptor of the file, which anybody may lock; it is made if need be.

    One that is anything else than a file of this name alone is refused: it would be written to.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = _made_or_opened(file, flags)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file, or has another name as well")
    return descriptor


def _made_or_opened(file: Path, flags: int) -> int:
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
