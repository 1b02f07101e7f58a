"""The tasks of ONNX files: inputs that are made up, samples without labels, samples with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.pictures import Shown
from perfsuite.domain.task import KEPT_FOR_CALIBRATION, Inputs, Predict, Task
from perfsuite.errors import Unsupported
from perfsuite.export.sides import ITS_NAME
from perfsuite.workloads.onnx.samples import Samples
from perfsuite.workloads.tasks.classification import top1_rows
from perfsuite.workloads.tasks.shown import shown_inputs

BATCH = 50  # samples of a call
_LEAST = 2  # samples for validation: fewer have no interval


@dataclass(frozen=True)
class MadeUp(Task):
    """Random inputs that fit the graph: standard normal floats, zeros for everything else."""

    spec: tuple[InputSpec, ...]
    key: str = ITS_NAME  # of the model in a suite
    made_up = True

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return seeded inputs, with `batch` samples if the graph's batch is dynamic."""
        return made_up(self.spec, batch, seed)

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Raise `Unsupported`, because the ranges of random inputs are not those of real data."""
        raise Unsupported(
            "an ONNX file alone has no calibration samples; give it a samples file in the suite: "
            f'samples = {{ {self.key} = "<file>.npz" }}, or to a command: --samples <file>.npz'
        )

    def fingerprint(self) -> str:
        """Return a text that changes when the inputs do."""
        return repr(self.spec)


def made_up(spec: Sequence[InputSpec], length: int, seed: int) -> Inputs:
    """Return seeded inputs whose open sides all have the same length."""
    rng = np.random.default_rng(seed)
    return {item.name: _array(item, length, rng) for item in spec}


def _array(item: InputSpec, length: int, rng: np.random.Generator) -> np.ndarray:
    shape = [side if isinstance(side, int) else length for side in item.shape]
    if np.issubdtype(np.dtype(item.dtype), np.floating):
        return np.asarray(rng.standard_normal(shape)).astype(item.dtype)
    return np.zeros(shape, item.dtype)


@dataclass(frozen=True)
class Sampled(Task):
    """Samples from an `.npz` file, without labels: to time, to profile and to calibrate.

    The first half is for calibration, the second half for everything else. A single sample serves
    for both. What the first half has beyond `KEPT_FOR_CALIBRATION` is for validation. `size` is the
    number of samples in a call of a model that takes no other; 0 if it takes any.
    """

    samples: Samples
    size: int = 0

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return which types were converted."""
        return self.samples.notes

    @property
    def _half(self) -> int:
        return len(self.samples) // 2

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` samples of the second half, chosen by `seed`, of the same shapes."""
        rng, last = np.random.default_rng(seed), len(self.samples)
        chosen = rng.integers(self._half, last, batch).tolist()
        if self.samples.is_ragged:
            alike = self.samples.alike(chosen[0], range(self._half, last))
            chosen[1:] = rng.choice(alike, batch - 1).tolist()
        return self.samples.call(chosen)

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield up to `samples` samples of the first half."""
        for chosen in self._calls(0, min(samples, self._half or len(self.samples))):
            yield self.samples.call(chosen)

    def _tested(self, samples: int | None) -> tuple[int, int]:
        """Return the first of so many test samples, and the one after the last."""
        return _from(self._half, len(self.samples), samples)

    def _validated(self, samples: int | None) -> tuple[int, int]:
        """Return the same of validation samples; raise `Unsupported` where there are too few."""
        if self._half < KEPT_FOR_CALIBRATION + _LEAST:
            raise Unsupported(
                f"there are no validation samples: of {len(self.samples)} samples half are for "
                f"testing, and of the others the first {KEPT_FOR_CALIBRATION} calibrate; give at "
                f"least {2 * (KEPT_FOR_CALIBRATION + _LEAST)}, or write a task of your own in "
                f"Python"
            )
        return _from(KEPT_FOR_CALIBRATION, self._half, samples)

    def _calls(self, start: int, stop: int) -> Iterator[range]:
        """Yield the samples of each call: one where samples differ in shape."""
        size = 1 if self.samples.is_ragged else self.size or BATCH
        for first in range(start, stop, size):
            yield range(first, min(first + size, stop))


def _from(start: int, end: int, samples: int | None) -> tuple[int, int]:
    return start, end if samples is None else min(end, start + samples)


class Labelled(Sampled):
    """Samples with `labels`, of a model whose first output are scores of classes."""

    metric_name = "top1"

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return (samples, 3) rows of the second half: 1 if right else 0, the answer, the label."""
        return self._rows(predict, *self._tested(samples))

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return the same of the first half's last samples."""
        return self._rows(predict, *self._validated(samples))

    def _rows(self, predict: Predict, start: int, stop: int) -> np.ndarray:
        labels = self.samples.labels
        if labels is None:
            raise ValueError("a task with labels was made of samples without any")
        rows = [
            top1_rows(predict(self.samples.call(chosen)), labels[chosen.start : chosen.stop])
            for chosen in self._calls(start, stop)
        ]
        return np.concatenate(rows)

    def right(self, rows: np.ndarray) -> np.ndarray:
        """Return which answers are the label."""
        return np.asarray(rows[:, 0] == 1)

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return what the model is given as pictures, stretched, with the label and the answer."""
        if set(self.samples.axes.values()) != {0}:
            raise Unsupported("samples along another side than the first are no pictures")
        calls = (self.samples.call(one) for one in self._calls(*self._tested(samples)))
        return shown_inputs(calls, rows, places)

    def metric(self, rows: np.ndarray) -> float:
        """Return top-1: the share of right answers."""
        return float(rows[:, 0].mean())
