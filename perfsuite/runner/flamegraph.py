"""Flame graphs of a cell's Python code, recorded by py-spy from outside the process."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec

from perfsuite.domain.record import Run
from perfsuite.domain.suite import Measure, ResolvedSuite
from perfsuite.errors import ConfigError, Unavailable
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache

EAGER = "pytorch"  # the engine whose calls go through Python
FILES = {"speedscope": "flamegraph.speedscope.json", "flamegraph": "flamegraph.svg"}  # by format
RECORDED = Measure(calls=1, seconds=5.0, warmup_seconds=0.0)
RATE_HZ = 200
_MESSAGE = 400  # characters of what py-spy says

_LET_IT = {
    "linux": "let it look into other processes: as root, or with `sudo sysctl "
    "kernel.yama.ptrace_scope=1`; start a container with --cap-add SYS_PTRACE",
    "darwin": "macOS lets only root look into other processes: use sudo",
}


def py_spy() -> str:
    """Return the path of py-spy, of this installation if it has one; raise `Unavailable`."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("py-spy", path=places)
    if found is None:
        raise Unavailable("a flame graph needs py-spy; install it with: pip install py-spy")
    return found


def check(suite: ResolvedSuite) -> None:
    """Raise unless `suite` has an eager cell to record, and this machine has py-spy."""
    if EAGER not in suite.runtimes:
        raise ConfigError(
            f"a flame graph shows the Python side of eager PyTorch; add --runtime {EAGER}"
        )
    py_spy()


def record(run: Run, folder: Path) -> list[Path]:
    """Return the files that were written into `folder`: one for speedscope, and an SVG.

    They show the timed calls of the eager cell below `time_calls`, and loading before that. Each
    format is recorded in a process of its own, which py-spy starts, because a parent may be allowed
    to inspect its child where other processes are not. Raises `Unavailable` if it is not allowed.
    """
    job = _job(run)
    return [_record(job, kind, (folder / name).resolve()) for kind, name in FILES.items()]


def _job(run: Run) -> Job:
    """Return a job that measures the prepared eager cell of `run` long enough to record it."""
    cell = next(cell for cell in run.header.cells if cell.runtime == EAGER)
    key = run.records[cell.id].artifact
    folder = Cache().get("artifact", key) if key else None
    if folder is None:
        raise Unavailable(f"there is no artifact of {cell.key} whose calls could be recorded")
    job = first_job(run.header.suite, cell)
    settings = msgspec.structs.replace(RECORDED, timeout_seconds=job.measure.timeout_seconds)
    return msgspec.structs.replace(
        job, kind="measure", measure=settings, artifact=str(folder), artifact_key=key
    )


def _record(job: Job, kind: str, path: Path) -> Path:
    options = ["--format", kind, "--output", str(path), "--rate", str(RATE_HZ)]
    line = run_job_in_process(job, (py_spy(), "record", *options, "--"))
    if line.error is None and path.is_file():
        return path
    error = line.error
    said = " ".join((error.output or error.message).split()) if error else "it wrote no file"
    raise Unavailable(
        f"py-spy could not record {job.cell.key}: {said[-_MESSAGE:]}; if it was not permitted to, "
        f"{_LET_IT.get(sys.platform, 'run it as root')}"
    )
