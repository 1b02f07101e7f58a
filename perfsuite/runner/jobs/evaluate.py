"""The evaluate job: the artifact answers the samples for testing, or those for validation."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from perfsuite.domain.record import OVERFLOWS, Accuracy, Line
from perfsuite.domain.runtime import Runtime, Session
from perfsuite.domain.task import Predict, Task
from perfsuite.libraries.switches import switch_of
from perfsuite.measure.accuracy import accuracies
from perfsuite.plugins import source_digest
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.every_processor import answered_on
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.jobs.answering import Answering
from perfsuite.runner.jobs.measure import rebuilder
from perfsuite.runner.jobs.pictures import write_cell
from perfsuite.store.cache import Cache, key_of
from perfsuite.store.room import room_for
from perfsuite.store.seconds import read_seconds, write_seconds
from perfsuite.workloads.checked import unchecked

ROWS, ACCURACIES, LABELS = "rows.npy", "accuracies.json", "labels.json"


def evaluate(job: Job) -> Line:
    """Return the line with the accuracies; the rows are cached, and copied to the run.

    Beside them are some pictures, of test samples that the artifact itself has answered.
    """
    task = workload_of(job).task
    cache, key = Cache(sealed=job.cached_only), rows_key(job, task)
    folder, made = cache.build("rows", key, partial(_answer, job, task))
    found = msgspec.json.decode((folder / ACCURACIES).read_bytes(), type=tuple[Accuracy, ...])
    target = Path(job.rows)
    with room_for(target, ""):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / ROWS).read_bytes())
    labels = _labels(folder)
    if job.evaluate.split == "test" and not job.cell.switch:
        ask = partial(_asked, job)
        labels = (*labels, *write_cell(job, task, np.load(folder / ROWS), key, ask))
    return line_of(
        job,
        status="ok",
        cached=not made,
        made_s=read_seconds(folder),
        accuracies=found,
        labels=labels,
    )


def rows_key(job: Job, task: Task) -> str:
    """Return the key of the cached rows, of all that the answers and their metrics follow from.

    A task that does not tell its data by a fingerprint is answered anew in each sitting.
    """
    split, switch, data = job.evaluate.split, switch_of(job.cell), task.fingerprint()
    version = unchecked(task).rows_version
    return key_of(
        ACCURACIES,  # the form in which accuracies are stored beside the rows
        job.artifact_key,
        str(job.evaluate.samples),
        data,
        source_digest("workload", job.reference),
        Path(job.samples) if job.samples else "",
        *([] if split == "test" else [split]),
        *([] if version == 1 else [f"rows {version}"]),
        *answered_on(job, artifacts.load_runtime(job.runtime)),
        *([] if switch is None else [f"switch {job.cell.switch} {switch.digest}"]),
        *([] if data or job.samples else [f"sitting {job.sitting}"]),
    )


def _answer(job: Job, task: Task, folder: Path) -> None:
    began_s = time.monotonic()
    split, runtime = job.evaluate.split, artifacts.load_runtime(job.runtime)
    with _answering(job, runtime) as answering:
        ask = task.rows if split == "test" else task.validation
        rows = ask(answering, job.evaluate.samples)
    np.save(folder / ROWS, rows)
    found = accuracies(task.metrics(), rows, digest=answering.digest, split=split)
    data = msgspec.json.encode(found)
    # Raises for accuracies that could not be read again.
    msgspec.json.decode(data, type=tuple[Accuracy, ...])
    (folder / ACCURACIES).write_bytes(data)
    labels = (*answering.labels, *_arithmetic(job, runtime))
    (folder / LABELS).write_bytes(msgspec.json.encode(labels))
    write_seconds(folder, time.monotonic() - began_s)


def _asked(job: Job, use: Callable[[Predict], None]) -> None:
    with _answering(job, artifacts.load_runtime(job.runtime)) as answering:
        use(answering)


def _answering(job: Job, runtime: Runtime) -> Answering:
    """Return what answers with the cell's artifact, which is opened when it is first asked."""
    artifact = Path(job.artifact)
    manifest = artifacts.read_manifest(artifact)

    def opened(batch: int) -> AbstractContextManager[Session]:
        options = artifacts.options(job, rebuilder(job), batch=batch)
        return artifacts.open_session(runtime, artifact, manifest, options)

    return Answering(opened, manifest, job.cell.batch)


def _arithmetic(job: Job, runtime: Runtime) -> tuple[str, ...]:
    """Return that sums of bytes overflow, where answers are to be those of another processor."""
    if not job.cell.switch or not artifacts.read_manifest(Path(job.artifact)).rounds_to_8_bits:
        return ()
    from perfsuite.runner.jobs.overflow import overflows

    return (OVERFLOWS,) if overflows(runtime, job.cell) else ()


def _labels(folder: Path) -> tuple[str, ...]:
    """Return the labels beside cached rows; rows of earlier versions have none."""
    file = folder / LABELS
    return msgspec.json.decode(file.read_bytes(), type=tuple[str, ...]) if file.is_file() else ()
