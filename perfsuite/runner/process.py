"""A job is run in a fresh process, and its outcome becomes a line, whatever it is."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.record import OUT_OF_TIME, Failure, Line
from perfsuite.errors import Unsupported
from perfsuite.runner.channel import LONGEST_MS, Channel
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.progress import last_progress
from perfsuite.runner.strays import Strays
from perfsuite.store.room import full_disk, room_for
from perfsuite.store.temporary import TemporaryFolder

if TYPE_CHECKING:  # a measuring process needs nothing of it
    from perfsuite.runner.forks import Forked, Forks
    from perfsuite.runner.guardian import Guardian

WORKER = "perfsuite.runner.worker"
STOP_S = 30.0  # that a system may take to stop a process: a card's driver may hold it up
LOOK_S = 1.0  # between two looks at a worker's progress
NO_ROOM = 74  # the exit code of a worker that could not write its line (EX_IOERR of sysexits.h)
TAIL = 4000  # characters of a worker's output that go on record

# What thread pools read when they are loaded: set before the process starts, or it is too late.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# CUDA counts cards as NVML does, so that what is metered is the card that is used.
CARDS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def run_job_in_process(
    job: Job,
    launcher: Sequence[str] = (),
    tell: Callable[[str], None] | None = None,
    forks: Forks | None = None,
) -> Line:
    """Return the line of `job`; a crash, a hang or a lack of memory becomes a `failed` line.

    The calling process sleeps meanwhile. `KeyboardInterrupt` kills the worker and is raised. If
    given, `launcher`, a command that ends with `--`, starts the worker. While a job prepares,
    `tell` is called with what passes say; other jobs must not be disturbed. With `forks` the
    process may be forked from one that has its imports done.
    """
    with Worker(job, launcher, forks=forks) as worker:
        if tell is None or job.kind != "prepare":
            worker.wait(job.timeout_s)
        else:
            _watch(worker, tell)
        line = worker.line()
    if worker.is_lost:  # which says nothing of the job
        return run_job_in_process(job, launcher, tell)
    return line


class Worker:
    """A worker process with its folder; a context manager that leaves neither behind."""

    def __init__(
        self,
        job: Job,
        launcher: Sequence[str] = (),
        channel: Channel | None = None,
        forks: Forks | None = None,
        guardian: Guardian | None = None,
    ) -> None:
        """Start the process; over the `channel` it is told when it is its turn.

        The `guardian` ends what it has started, should this process be killed.
        """
        self.job = job
        self._started_at = datetime.now(UTC)
        self._awake_s, self._awake_since = 0.0, time.perf_counter()
        self._temporary = TemporaryFolder()
        self._folder = Path(self._temporary.name)
        with room_for(self._folder, "TMPDIR"):
            (self._folder / "job.json").write_bytes(msgspec.json.encode(job))
            self.output.touch()
        forked = forks.start(job, self._folder, _environment(job)) if forks else None
        self.process: subprocess.Popen[bytes] | Forked = forked or self._fresh(
            launcher, () if channel is None else channel.theirs
        )
        self._descriptor = _descriptor(self.process.pid)
        self._ended = self._killed = False
        self._strays, self._looked = Strays(self.process.pid), False
        self._guardian = guardian
        if guardian is not None:
            guardian.watch(self.process.pid)

    def _fresh(self, launcher: Sequence[str], passed: tuple[int, ...]) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [
                    *launcher,
                    *_command(self.job, self._folder),
                    *([] if launcher else [str(os.getpid())]),
                    *map(str, passed),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(self.job),
                start_new_session=True,
                pass_fds=passed,
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._strays.forget()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._temporary.cleanup()

    @property
    def output(self) -> Path:
        """Return the file that the worker's output goes to."""
        return self._folder / "output"

    @property
    def is_lost(self) -> bool:
        """Return whether it was killed with the server from which it was forked."""
        return getattr(self.process, "lost", False)

    def wait(self, timeout_s: float) -> bool:
        """Return whether the worker has ended in time."""
        self._ended = _wait(self.process, timeout_s, self._descriptor)
        return self._ended

    def stop(self) -> None:
        """Stop the worker, and return once it is stopped; `wake` lets it go on.

        Raises `Unsupported` where the system forbids it, and `TimeoutError` if it does not do it.
        """
        try:
            self._signal(signal.SIGSTOP)
        except OSError as error:
            raise Unsupported(
                f"this system does not let processes be stopped while others take their turn "
                f"({error.strerror})"
            ) from error
        ended_or_stopped = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        end = time.monotonic() + STOP_S
        while os.waitid(os.P_PID, self.process.pid, ended_or_stopped) is None:
            if time.monotonic() > end:
                raise TimeoutError(f"{STOP_S:g} s after SIGSTOP one was not stopped")
            time.sleep(0.0005)
        if not self._looked:  # what an engine starts, it starts before it is warm
            self._looked = True
            self._strays.look()
            if self._guardian is not None:
                self._guardian.watch_strays(self._strays.numbers)
            self._strays.signal(signal.SIGSTOP)
        self._awake_s += time.perf_counter() - self._awake_since

    def wake(self) -> None:
        """Let a stopped worker go on."""
        self._awake_since = time.perf_counter()
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the worker and whatever it started: once, as its number may be another's later."""
        if self._killed:
            return
        if self._descriptor is not None and _has_its_number(self._descriptor):
            self._strays.look()
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._killed = True
        if self._guardian is not None:
            self._guardian.forget([self.process.pid, *self._strays.numbers])

    def line(self) -> Line:
        """Return what has become of the job; the worker, which is awake, is killed if it goes on.

        Its duration is that of its own work: the time for which it was stopped is left out.
        """
        self._awake_s += time.perf_counter() - self._awake_since
        self.kill()
        line = _outcome(self.job, self._folder, self.process.returncode if self._ended else None)
        return msgspec.structs.replace(
            line,
            started_at=self._started_at.isoformat(timespec="seconds"),
            duration_s=round(self._awake_s, 3),
        )

    def _signal(self, number: int) -> None:
        """Send a signal to the worker and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self._strays.signal(number)


def _command(job: Job, folder: Path) -> list[str]:
    emulator = job.switch.emulator if job.switch else ()
    # -P: modules in the current folder must not shadow installed ones.
    return [*emulator, sys.executable, "-P", "-m", WORKER, str(folder)]


def _environment(job: Job) -> dict[str, str]:
    threads = {name: str(job.cell.threads) for name in THREAD_VARIABLES}
    # A scripted engine finds its script by the cell's key.
    ours = {"PERFSUITE_CELL": job.cell.key, "PYTHONUNBUFFERED": "1"}
    switched = job.switch.environment if job.switch else {}
    return {**CARDS, **os.environ, **threads, **ours, **switched}


def _watch(worker: Worker, tell: Callable[[str], None]) -> None:
    """Wait until the worker ends or its time is over; tell its progress, when there is any."""
    told, left_s = "", worker.job.timeout_s
    while left_s > LOOK_S:
        if worker.wait(LOOK_S):
            return
        left_s -= LOOK_S
        said = last_progress(worker.output, worker.job.cell.key)
        if said != told:
            tell(said)
            told = said
    worker.wait(left_s)


def _descriptor(pid: int) -> int | None:
    """Return a descriptor of a process; None where there are none, or it has ended without trace.

    A forked worker does, when its server is killed: it is no child of this process.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _has_its_number(descriptor: int) -> bool:
    """Tell whether a process runs, or has ended and nobody has asked how."""
    try:
        signal.pidfd_send_signal(descriptor, 0)
    except OSError:
        return False
    return True


def _wait(
    worker: subprocess.Popen[bytes] | Forked, timeout_s: float, descriptor: int | None
) -> bool:
    """Return whether the worker ended in time; its number stays its own until it is killed.

    `Popen.wait` with a time limit wakes up twenty times a second. Waiting for a process descriptor
    lets this process sleep, so that it does not disturb measurements.
    """
    if descriptor is not None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        # Asked again, as the time is over also if this process was suspended meanwhile.
        return bool(poll.poll(min(timeout_s * 1000, LONGEST_MS)) or poll.poll(0))
    try:
        worker.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _outcome(job: Job, folder: Path, code: int | None) -> Line:
    result = folder / "line.json"
    tail = (folder / "output").read_text(errors="replace")[-TAIL:]
    if code == 0 and result.exists():
        line = msgspec.json.decode(result.read_bytes(), type=Line)
        if line.status != "failed" or line.error is None:
            return line
        error = msgspec.structs.replace(line.error, output=(tail + line.error.output)[-TAIL:])
        return msgspec.structs.replace(line, error=error)
    if code == NO_ROOM:
        kind, message = "DiskFull", str(full_disk(result, "its line was not written", "TMPDIR"))
    elif code is None and job.timeout_s == job.limit_s:
        kind, message = OUT_OF_TIME, f"it was cut off after {job.timeout_s:.0f} s: the time was up"
    elif code is None:
        kind, message = "Timeout", f"no answer for {job.timeout_s:g} s: killed as hanging"
    elif code < 0:
        kind, message = "Crash", f"the worker {died_by(-code)}"
    else:
        kind, message = "Crash", f"the worker ended with exit code {code}"
    return line_of(job, status="failed", error=Failure(kind, message, tail))


_LIKELY = {
    "SIGKILL": "most likely because the machine ran out of memory",
    "SIGBUS": "most likely because a file that it has mapped, a shared library or weights, is cut "
    "off: install or fetch it again; or because /dev/shm is full",
    "SIGILL": "most likely because a library has instructions that this processor lacks: install "
    "one that is built for it, and unset what asks for others, as OPENBLAS_CORETYPE may",
}


def died_by(number: int) -> str:
    """Return that a process died by a signal, and the likely reason where one is known."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return ", ".join(filter(None, [f"died by {name}", _LIKELY.get(name, "")]))
