"""The worker process: `python -m perfsuite.engine.worker FOLDER` does the job that lies there."""

from __future__ import annotations

import ctypes
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from perfsuite.domain.record import Failure, Line, Status
from perfsuite.engine.jobs import Job
from perfsuite.engine.process import line_of
from perfsuite.errors import PerfsuiteError, Unavailable, Unsupported

PR_SET_PDEATHSIG = 1  # prctl(2)


def run_job(job: Job) -> Line:
    """Return the line of a job; what goes wrong in it becomes the line's status and error."""
    try:
        return _body(job.kind)(job)
    except Unsupported as error:
        return _failed(job, "unsupported", error)
    except Unavailable as error:
        return _failed(job, "unavailable", error)
    except PerfsuiteError as error:
        return _failed(job, "failed", error)
    except MemoryError as error:
        return _failed(job, "failed", error, f"out of memory: {error}", traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it goes on record
        return _failed(job, "failed", error, str(error), traceback.format_exc())


def _body(kind: str) -> Callable[[Job], Line]:
    # Measuring must not import what preparing needs.
    if kind == "prepare":
        from perfsuite.engine.prepare import prepare

        return prepare
    if kind == "measure":
        from perfsuite.engine.measuring import measure

        return measure
    if kind == "evaluate":
        from perfsuite.engine.evaluate import evaluate

        return evaluate
    from perfsuite.engine.inspecting import inspect

    return inspect


def _failed(
    job: Job, status: Status, error: BaseException, message: str = "", output: str = ""
) -> Line:
    failure = Failure(type(error).__name__, message or str(error), output[-4000:])
    return line_of(job, status=status, error=failure)


def main(folder: Path) -> None:
    """Read `job.json` in `folder`, do the job, write `line.json`."""
    if sys.platform == "linux":
        # A parent that is killed takes its worker along: nobody is left to time beside a new run.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    job = msgspec.json.decode((folder / "job.json").read_bytes(), type=Job)
    line = run_job(job)
    partial = folder / "line.partial"
    partial.write_bytes(msgspec.json.encode(line))
    partial.replace(folder / "line.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
