"""What a model is for: its data, its rows, its metric. All of it speaks NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from perfsuite.errors import Unsupported

Inputs = dict[str, np.ndarray]  # what one call of a model takes: input name to array
Outputs = list[np.ndarray]  # what one call gives, in the model's order
Predict = Callable[[Inputs], Outputs]


class TrainingSet(NamedTuple):
    """Training samples and how a batch of them becomes the model's input.

    `prepare(batch, rng)` takes a slice of `inputs` and gives the float32 array that the model
    takes, augmented with the given generator.
    """

    inputs: np.ndarray
    targets: np.ndarray
    prepare: Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Task:
    """Subclass it; only `inputs` is required. Without `metric_name` a model is timed, not judged.

    Training, calibration and test samples must be disjoint.
    """

    metric_name: str = ""  # such as "top1"; a fraction, higher is better

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return realistic inputs: each array's first axis is `batch` long."""
        raise Unsupported(f"{type(self).__name__}: a task must define inputs(batch, seed)")

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield `samples` calibration samples in batches, one batch in memory at a time."""
        raise Unsupported(f"{type(self).__name__}: this task has no calibration samples")

    def train(self) -> TrainingSet:
        """Return the training samples."""
        raise Unsupported(f"{type(self).__name__}: this task has no training samples")

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return a float64 array (samples, columns), one row a test sample, in a fixed order.

        `samples` limits the test set to a seeded choice of so many; None takes it whole.
        """
        raise Unsupported(f"{type(self).__name__}: this task has no labelled test samples")

    def metric(self, rows: np.ndarray) -> float:
        """Return the metric of the given rows, a fraction in [0, 1]; higher is better."""
        raise Unsupported(f"{type(self).__name__}: this task has no metric")

    def fingerprint(self) -> str:
        """Return a text that changes when the data change: it becomes part of cache keys."""
        return ""
