"""How long a call takes here and as on another processor, asked before a run begins."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.record import UNLABELLED, Line
from perfsuite.domain.suite import Measure, ResolvedSuite
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.runner.asking import raised
from perfsuite.runner.build.artifacts import read_manifest
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache
from perfsuite.store.temporary import sweep

_FEW = Measure(calls=3, seconds=0.0, warmup_seconds=0.0, timeout_seconds=600.0)


class Pace(NamedTuple):
    """The seconds of a sample in calls of the timed size, here and with the switch of a cell."""

    here_s: float
    there_s: float


def prepared(suite: ResolvedSuite, cell: Cell) -> Job:
    """Return a job of `cell` that knows its artifact, which is prepared if it was not.

    Raises the error that its process had; `Unsupported` where no samples judge the model, and
    `ConfigError` for one that does not compute in 8 bits.
    """
    sweep()
    job = first_job(suite, cell)
    line = run_job_in_process(job)
    folder = Cache().get("artifact", line.artifact) if line.status == "ok" else None
    if folder is None:
        raise raised(line)
    if UNLABELLED in line.labels:
        raise Unsupported(
            f"{cell.workload}: no samples judge it, so that nobody can tell what it loses on other "
            f"processors; give an ONNX file its samples (--samples), and any other model a task "
            f"with rows and a metric"
        )
    if not read_manifest(folder).rounds_to_8_bits:
        raise ConfigError(
            f"{cell.key}: it does not compute in 8 bits, and answers alike on all processors; ask "
            f"for a recipe that does, such as int8"
        )
    return msgspec.structs.replace(job, artifact=str(folder), artifact_key=line.artifact)


def pace(job: Job, there: Cell) -> Pace:
    """Return how long the artifact of a job takes here, and in the processes of `there`.

    Raises the error that a process had.
    """
    here_s, there_s = (_seconds(job, cell) for cell in (job.cell, there))
    return Pace(here_s, there_s)


def _seconds(job: Job, cell: Cell) -> float:
    few = msgspec.structs.replace(
        job, kind="measure", cell=cell, measure=_FEW, round=0, order=0, meters=()
    )
    line = run_job_in_process(few)
    found = _latencies(line)
    if not found:
        raise raised(line)
    return median(found) / cell.batch


def _latencies(line: Line) -> tuple[float, ...]:
    if line.status != "ok":
        return ()
    return next((one.samples for one in line.measurements if one.metric == LATENCY), ())
