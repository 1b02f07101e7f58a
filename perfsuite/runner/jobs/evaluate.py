"""The evaluate job: the artifact answers the test samples."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from perfsuite.domain.record import Accuracy, Line
from perfsuite.domain.runtime import Manifest, Session
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError
from perfsuite.export.parity import check_numbers, largest_difference
from perfsuite.measure.accuracy import accuracies
from perfsuite.plugins import source_digest
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.jobs.measure import rebuilder
from perfsuite.store.cache import Cache, key_of
from perfsuite.user_code import user_code
from perfsuite.workloads.table import load_workload

BATCH = 50  # samples of a call, if the batch axis is dynamic
CHECKED = 8  # samples that are answered again at the timed batch size
# The largest difference between two batch sizes, relative to the largest output. Kernels may sum in
# another order at another batch size, which before a rounding to 8 bits may change the result.
DRIFT, QUANTIZED_DRIFT = 1e-3, 5e-2
ROWS, ACCURACIES = "rows.npy", "accuracies.json"


def evaluate(job: Job) -> Line:
    """Return the line with the accuracies; the rows are cached, and copied to the run."""
    task = load_workload(job.reference, job.samples, job.shapes).task
    cache = Cache(sealed=job.cached_only)
    folder, made = cache.build("rows", rows_key(job, task), partial(_answer, job, task))
    found = msgspec.json.decode((folder / ACCURACIES).read_bytes(), type=tuple[Accuracy, ...])
    target = Path(job.rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((folder / ROWS).read_bytes())
    return line_of(job, status="ok", cached=not made, accuracies=found)


def rows_key(job: Job, task: Task) -> str:
    """Return the key of the cached rows, of all that the answers and their metrics follow from."""
    return key_of(
        ACCURACIES,  # the form in which accuracies are stored beside the rows
        job.artifact_key,
        str(job.evaluate.samples),
        task.fingerprint(),
        source_digest("workload", job.reference),
        Path(job.samples) if job.samples else "",
    )


def _answer(job: Job, task: Task, folder: Path) -> None:
    artifact = Path(job.artifact)
    manifest = artifacts.read_manifest(artifact)
    runtime = artifacts.load_runtime(job.runtime)
    batch = BATCH if _batched(manifest) else job.cell.batch
    open_ = partial(artifacts.options, job.cell, rebuilder(job))
    with artifacts.open_session(runtime, artifact, manifest, open_(batch=batch)) as session:
        answering = Answering(session, manifest, batch)
        rows = task.rows(answering, job.evaluate.samples)
    if batch != job.cell.batch:
        with artifacts.open_session(runtime, artifact, manifest, open_()) as session:
            answering.check_against(session, job.cell.batch)
    np.save(folder / ROWS, rows)
    data = msgspec.json.encode(accuracies(task.metrics(), rows, digest=answering.digest))
    # Raises for accuracies that could not be read again.
    msgspec.json.decode(data, type=tuple[Accuracy, ...])
    (folder / ACCURACIES).write_bytes(data)


def _batched(manifest: Manifest) -> bool:
    return all(spec.shape[:1] == ("batch",) for spec in manifest.inputs)


@dataclass
class Answering:
    """A `Predict` on a session of a fixed batch, which splits and pads, and hashes its inputs."""

    session: Session
    manifest: Manifest
    batch: int
    _asked: hashlib._Hash = field(default_factory=hashlib.sha256)
    _first: tuple[Inputs, Outputs] | None = None

    @property
    def digest(self) -> str:
        """Return the hash of all samples that were answered, in their order."""
        return self._asked.hexdigest()

    def __call__(self, inputs: Inputs) -> Outputs:
        """Return the answers to any number of samples."""
        for name in sorted(inputs):
            self._asked.update(np.ascontiguousarray(inputs[name]).tobytes())
        count = len(next(iter(inputs.values())))
        if count == self.batch and not _batched(self.manifest):
            # Not split by sample, as a detector's answer may have any number of rows.
            with user_code(f"{self.manifest.runtime}: a call"):
                outputs = self.session.run(inputs)
        else:
            parts = [
                answer_padded(
                    self.session, inputs, start, min(start + self.batch, count), self.batch
                )
                for start in range(0, count, self.batch)
            ]
            outputs = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
        check_numbers(outputs, self.manifest.outputs)
        if self._first is None:
            self._first = (inputs, outputs)
        return outputs

    def check_against(self, session: Session, batch: int) -> None:
        """Raise `ParityError` unless `session`, of another batch, gives the same answers."""
        if self._first is None:
            return
        inputs, outputs = self._first
        rounded = self.manifest.quantized or self.manifest.own_precisions
        allowed = QUANTIZED_DRIFT if rounded else DRIFT
        count = min(CHECKED, len(outputs[0]))
        for start in range(0, count, batch):
            stop = min(start + batch, count)
            again = answer_padded(session, inputs, start, stop, batch)
            for name, one, other in zip(self.manifest.outputs, again, outputs, strict=True):
                off = largest_difference(one, other[start:stop], other)
                if not off <= allowed:  # NaN is no agreement
                    raise ParityError(
                        f"output '{name}': batch {self.batch} and batch {batch} differ by "
                        f"{off:.2g} of the largest value, {allowed:g} is allowed"
                    )


def answer_padded(session: Session, inputs: Inputs, start: int, stop: int, batch: int) -> Outputs:
    """Return the answers to samples `start` to `stop`; the last one is repeated as padding."""
    index = np.minimum(np.arange(start, start + batch), stop - 1)
    chunk = {name: np.ascontiguousarray(array[index]) for name, array in inputs.items()}
    with user_code(f"a call with samples {start} to {stop - 1}"):
        outputs = session.run(chunk)
    for place, output in enumerate(outputs):
        if output.shape[:1] != (batch,):
            raise BuildError(
                f"output {place} has shape {output.shape} for a batch of {batch}: answers are told "
                f"apart by the first axis, which must be the batch"
            )
    return [output[: stop - start] for output in outputs]
