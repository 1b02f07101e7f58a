"""The worker process: `python -m perfsuite.runner.worker FOLDER` does the job in that folder."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

import perfsuite
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Evidence, Failure, Line, Status
from perfsuite.errors import (
    BuildError,
    ConfigError,
    DiskFull,
    PerfsuiteError,
    Unavailable,
    Unsupported,
)
from perfsuite.runner.channel import WorkerTurns
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.process import NO_ROOM, TAIL
from perfsuite.store.room import room_for
from perfsuite.user_code import trace_of_others, what_failed

if TYPE_CHECKING:
    from perfsuite.measure.latency import Turns

PR_SET_PDEATHSIG = 1  # prctl(2)
_OURS = Path(perfsuite.__file__).parent
_formatwarning = warnings.formatwarning


def run_job(job: Job, turns: Turns | None = None) -> Line:
    """Return the line of a job; an error becomes the line's status and error.

    With `turns` a measure job times its calls whenever it is its turn, and an inspect job profiles.
    """
    try:
        if job.switch is not None and job.switch.call is not None:
            job.switch.call()
        return msgspec.structs.replace(_body(job, turns)(job), device=_device(job))
    except Unsupported as error:
        return _failed(job, "unsupported", error)
    except Unavailable as error:
        return _failed(job, "unavailable", error)
    except PerfsuiteError as error:
        # Where somebody else's code failed below, the message says whose, the trace says where.
        below = isinstance(error, BuildError)
        return _failed(job, "failed", error, output=trace_of_others(error) if below else "")
    except MemoryError as error:
        return _failed(job, "failed", error, f"out of memory: {error}", traceback.format_exc())
    except BaseException as error:  # noqa: BLE001 - also what a user's code may raise on purpose
        # An interrupt from the terminal goes to the parent alone.
        said = str(error) or what_failed(error)
        return _failed(job, "failed", error, said, traceback.format_exc())


def _device(job: Job) -> DeviceIdentity | None:
    """Return which processor or card the job was done on; asked after it, when nothing is timed.

    None for an emulated one, which is not that of the run.
    """
    if job.switch is not None and job.switch.emulator:
        return None
    from perfsuite.runner.build.artifacts import load_runtime
    from perfsuite.runner.build.capabilities import identity_of

    return identity_of(load_runtime(job.runtime), job.cell.device)


def _body(job: Job, turns: Turns | None) -> Callable[[Job], Line]:
    # Measuring must not import the modules that preparing needs.
    kind = job.kind
    if job.asks_layers:
        from perfsuite.runner.jobs.layers import layers

        return layers
    if kind == "prepare":
        from perfsuite.runner.jobs.prepare import prepare

        return prepare
    if kind == "measure":
        from perfsuite.runner.jobs.measure import measure

        return partial(measure, turns=turns)
    if kind == "evaluate":
        from perfsuite.runner.jobs.evaluate import evaluate

        return evaluate
    if kind == "survey":
        from perfsuite.runner.jobs.survey import survey

        return survey
    from perfsuite.runner.jobs.inspect import inspect

    return partial(inspect, turns=turns)


def _failed(
    job: Job, status: Status, error: BaseException, message: str = "", output: str = ""
) -> Line:
    """Return the line of a job that `error` has ended.

    Where the reason is that a shared object is missing, the engine is `unavailable`.
    """
    kind, message, evidence = type(error).__name__, message or str(error), None
    if not isinstance(error, ConfigError) and (found := _missing(job, error)):
        status, kind, message = "unavailable", Unavailable.__name__, f"{found.message}; {found.fix}"
        evidence = Evidence(findings=(found,))
    failure = Failure(kind, _text(message), _text(output[-TAIL:]))
    return line_of(job, status=status, error=failure, evidence=evidence)


def _missing(job: Job, error: BaseException) -> Finding | None:
    from perfsuite.libraries.faults.missing import missing_in

    return missing_in(error, job.cell.runtime)


def _text(text: str) -> str:
    """Return `text` without characters that UTF-8 cannot encode, as in invalid file names."""
    return text.encode(errors="backslashreplace").decode()


def _encoded(job: Job, line: Line) -> bytes:
    """Return `line` as the journal will store it, or a failure where it could not be read again."""
    try:
        data = msgspec.json.encode(line)
        msgspec.json.decode(data, type=Line)  # a NaN is written as null, which is refused here
    except (msgspec.MsgspecError, TypeError, UnicodeError) as error:
        message = f"what the {job.kind} job found cannot be stored: {error}"
        return msgspec.json.encode(_failed(job, "failed", error, message, traceback.format_exc()))
    return data


def die_with(parent: int | None) -> bool:
    """Have this process killed with its parent, so that it does not run beside a new run.

    Also while it is stopped. Returns whether the parent, if it is known, is still there.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # It may have been killed before the call above.
        return parent is None or os.getppid() == parent
    return True


def _formatted(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Return the lines of a warning: of perfsuite's own, which go on record, without its place."""
    if Path(filename).is_relative_to(_OURS):
        return f"warning: {message}\n"
    return _formatwarning(message, category, filename, lineno, line)


def main(folder: Path, parent: int | None = None, *channel: int) -> None:
    """Read `job.json` in `folder`, do the job, and write `line.json`.

    `parent` is the process that waits for it; None if that has started it by another program. Over
    the two descriptors of a `channel` the parent says when it is this process's turn.
    """
    if not die_with(parent):
        return
    warnings.formatwarning = _formatted
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    line = run_job(job, WorkerTurns(*channel) if channel else None)
    with room_for(folder, "TMPDIR"):
        (folder / "line.json").write_bytes(_encoded(job, line))  # read only if all ends well


def work(folder: Path, parent: int | None = None, *channel: int) -> NoReturn:
    """Do what `main` does, and end this process as Python ends one, but without its tear-down.

    To take modules and engines apart takes longer than many a job, and nobody needs it done: the
    system frees all that a process had. The exit code is 1 if `main` raises, and `NO_ROOM` if there
    was none for the line.
    """
    code = 1
    try:
        main(folder, parent, *channel)
        code = 0
    except DiskFull:
        code = NO_ROOM
    except BaseException:  # noqa: BLE001 - it becomes the exit code
        traceback.print_exc()
    # As `multiprocessing` does: pools of threads end, and other threads are awaited.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a user's code may have closed it
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    work(Path(sys.argv[1]), *map(int, sys.argv[2:]))
