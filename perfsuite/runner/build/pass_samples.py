"""The samples of a workload that the passes of a job may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfsuite.domain.task import (
    KEPT_FOR_CALIBRATION,
    Inputs,
    Outputs,
    Predict,
    TrainingSet,
)
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.plugins import own_digest, source_digest
from perfsuite.runner.build.batching import chosen, count_samples, singles, spec_of
from perfsuite.runner.build.hints import training_set
from perfsuite.runner.job import Job
from perfsuite.store.cache import Cache, key_of

PLACES = "places.txt"


@dataclass(frozen=True)
class PassSamples:
    """The samples of `workload` for the passes of `job`, of which some may train.

    `singly` gives the reason why the model takes one sample in a call, found out by a trial, or ''.
    """

    workload: Workload
    job: Job
    trains: bool
    singly: Callable[[], str]

    def key(self, data: str, cache: Cache) -> str:
        """Return the key of all that passes may see; `data` is that of the workload's data.

        It is another one where samples are held out of training. Which these are is cached: finding
        it out may take all of the training samples, which no process that measures should load.
        """
        if not self.job.hold_out:
            return data
        source = (self.workload.name, source_digest("workload", self.job.reference), own_digest())
        folder, _ = cache.build("held_out", key_of(data, *source), self._write_places)
        told = (folder / PLACES).read_text()
        return key_of(data, "held out", told) if told else data

    def _write_places(self, folder: Path) -> None:
        places = self.workload.task.held_out()
        told = "" if places is None else key_of(places.astype(np.int64).tobytes())
        (folder / PLACES).write_text(told)

    def train(self) -> TrainingSet:
        """Return the training set, without the samples that are held out."""
        data = training_set(self.workload)
        places = self.workload.task.held_out() if self.job.hold_out else None
        return data if places is None else data.without(places)

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield calibration samples; raise `ConfigError` for more than validation leaves to it."""
        require_left(self.job, samples, self.job.cell.key)
        batches = self.workload.task.calibration(samples)
        return singles(batches, spec_of(self.workload)) if self.singly() else batches

    def require_held_out(self) -> None:
        """Raise `ConfigError` where passes train on samples that validation answers."""
        held_out = self.job.hold_out or not self.trains
        if not held_out and self.workload.task.held_out() is not None:
            raise ConfigError(
                f"{self.job.cell.key}: its validation samples are training samples, and its recipe "
                f"trains on them; leave them out of training with hold_out = true in the suite"
            )

    def validation(self, predict: Predict) -> np.ndarray:
        """Return the rows of the validation samples, which must be held out of training."""
        self.require_held_out()
        if self.singly():
            predict = _one_by_one(predict, self.workload)
        return self.workload.task.validation(predict)


def require_left(job: Job, samples: int, whose: str) -> None:
    """Raise `ConfigError` where so many calibration samples would reach into validation."""
    if job.hold_out and samples > KEPT_FOR_CALIBRATION:
        raise ConfigError(
            f"{whose}: {samples:,} calibration samples are asked for, and with hold_out at most "
            f"{KEPT_FOR_CALIBRATION} are to be had: the others may be validation samples"
        )


def _one_by_one(predict: Predict, workload: Workload) -> Predict:
    """Return a `predict` that asks for one sample at a time."""
    spec = spec_of(workload)

    def asked(inputs: Inputs) -> Outputs:
        count = count_samples(inputs, spec)
        answers = [predict(chosen(inputs, spec, [index])) for index in range(count)]
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    return asked
