"""The evaluate job: the artifact answers the samples for testing, or those for validation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from perfsuite.domain.record import OVERFLOWS, Accuracy, Line
from perfsuite.domain.runtime import Runtime, Session
from perfsuite.domain.task import Task
from perfsuite.libraries.switches import switch_of
from perfsuite.measure.accuracy import accuracies
from perfsuite.plugins import source_digest
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.every_processor import answered_on
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.jobs.answering import Answering
from perfsuite.runner.jobs.measure import rebuilder
from perfsuite.store.cache import Cache, key_of

ROWS, ACCURACIES, LABELS = "rows.npy", "accuracies.json", "labels.json"


def evaluate(job: Job) -> Line:
    """Return the line with the accuracies; the rows are cached, and copied to the run."""
    task = workload_of(job).task
    cache = Cache(sealed=job.cached_only)
    folder, made = cache.build("rows", rows_key(job, task), partial(_answer, job, task))
    found = msgspec.json.decode((folder / ACCURACIES).read_bytes(), type=tuple[Accuracy, ...])
    target = Path(job.rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((folder / ROWS).read_bytes())
    return line_of(job, status="ok", cached=not made, accuracies=found, labels=_labels(folder))


def rows_key(job: Job, task: Task) -> str:
    """Return the key of the cached rows, of all that the answers and their metrics follow from."""
    split, switch = job.evaluate.split, switch_of(job.cell)
    return key_of(
        ACCURACIES,  # the form in which accuracies are stored beside the rows
        job.artifact_key,
        str(job.evaluate.samples),
        task.fingerprint(),
        source_digest("workload", job.reference),
        Path(job.samples) if job.samples else "",
        *([] if split == "test" else [split]),
        *answered_on(job, artifacts.load_runtime(job.runtime)),
        *([] if switch is None else [f"switch {job.cell.switch} {switch.digest}"]),
    )


def _answer(job: Job, task: Task, folder: Path) -> None:
    artifact, split = Path(job.artifact), job.evaluate.split
    manifest = artifacts.read_manifest(artifact)
    runtime = artifacts.load_runtime(job.runtime)

    def opened(batch: int) -> AbstractContextManager[Session]:
        options = artifacts.options(job, rebuilder(job), batch=batch)
        return artifacts.open_session(runtime, artifact, manifest, options)

    with Answering(opened, manifest, job.cell.batch) as answering:
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
