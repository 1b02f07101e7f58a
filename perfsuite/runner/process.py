"""A job is run in a fresh process, and its outcome becomes a line, whatever it is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from perfsuite.domain.record import Failure, Line
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.progress import last_progress

WORKER = "perfsuite.runner.worker"
LONGEST_MS = 2**31 - 1  # that poll(2) can wait: 24 days
LOOK_S = 1.0  # between two looks at a worker's progress
TAIL = 4000  # characters of a worker's output that go on record

# What thread pools read when they are loaded: set before the process starts, or it is too late.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_job_in_process(
    job: Job, launcher: Sequence[str] = (), tell: Callable[[str], None] | None = None
) -> Line:
    """Return the line of `job`; a crash, a hang or a lack of memory becomes a `failed` line.

    The calling process sleeps meanwhile. `KeyboardInterrupt` kills the worker and is raised. If
    given, `launcher`, a command that ends with `--`, starts the worker. While a job prepares,
    `tell` is called with the progress of passes; other jobs must not be disturbed.
    """
    started_at, started = datetime.now(UTC), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as name:
        folder = Path(name)
        (folder / "job.json").write_bytes(msgspec.json.encode(job))
        with (folder / "output").open("wb") as output:
            worker = subprocess.Popen(
                [*launcher, *_command(folder), *([] if launcher else [str(os.getpid())])],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(job),
                start_new_session=True,
            )
            try:
                if tell is None or job.kind != "prepare":
                    ended = _wait(worker, job.timeout_s)
                else:
                    ended = _watch(worker, job, folder / "output", tell)
            finally:
                _kill(worker)
        line = _outcome(job, folder, worker.returncode if ended else None)
    return msgspec.structs.replace(
        line,
        started_at=started_at.isoformat(timespec="seconds"),
        duration_s=round(time.perf_counter() - started, 3),
    )


def _command(folder: Path) -> list[str]:
    # -P: modules in the current folder must not shadow installed ones.
    return [sys.executable, "-P", "-m", WORKER, str(folder)]


def _environment(job: Job) -> dict[str, str]:
    threads = {name: str(job.cell.threads) for name in THREAD_VARIABLES}
    # A scripted engine finds its script by the cell's key.
    return {**os.environ, **threads, "PERFSUITE_CELL": job.cell.key, "PYTHONUNBUFFERED": "1"}


def _watch(
    worker: subprocess.Popen[bytes], job: Job, output: Path, tell: Callable[[str], None]
) -> bool:
    """Return whether the worker ended in time; call `tell` with its progress meanwhile."""
    told, left_s = "", job.timeout_s
    while left_s > LOOK_S:
        if _wait(worker, LOOK_S):
            return True
        left_s -= LOOK_S
        said = last_progress(output, job.cell.key)
        if said != told:
            tell(said)
            told = said
    return _wait(worker, left_s)


def _wait(worker: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Return whether the worker ended in time.

    `Popen.wait` with a time limit wakes up twenty times a second. Waiting for a process descriptor
    lets this process sleep, so that it does not disturb measurements.
    """
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(worker.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(min(timeout_s * 1000, LONGEST_MS))) and worker.wait() is not None
        finally:
            os.close(descriptor)
    try:
        worker.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(worker: subprocess.Popen[bytes]) -> None:
    """Kill the worker and all processes that it started, which are in its session."""
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        worker.wait()


def _outcome(job: Job, folder: Path, code: int | None) -> Line:
    result = folder / "line.json"
    tail = (folder / "output").read_text(errors="replace")[-TAIL:]
    if code == 0 and result.exists():
        line = msgspec.json.decode(result.read_bytes(), type=Line)
        if line.status != "failed" or line.error is None:
            return line
        error = msgspec.structs.replace(line.error, output=(tail + line.error.output)[-TAIL:])
        return msgspec.structs.replace(line, error=error)
    if code is None:
        kind, message = "Timeout", f"no answer for {job.timeout_s:g} s: killed as hanging"
    elif code < 0:
        kind, message = "Crash", f"the worker died by {_signal_name(-code)}"
        if -code == signal.SIGKILL:
            message += ", most likely because the machine ran out of memory"
    else:
        kind, message = "Crash", f"the worker ended with exit code {code}"
    return line_of(job, status="failed", error=Failure(kind, message, tail))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
