"""What a model is for: its data, its rows, its metrics. All of it speaks NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn

Inputs = dict[str, np.ndarray]  # what one call of a model takes: input name to array
Outputs = list[np.ndarray]  # what one call gives, in the model's order
Predict = Callable[[Inputs], Outputs]
RowsMetric = Callable[[np.ndarray], float]  # of rows (samples, columns)
Loss = Callable[["nn.Module", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]

SEMI_SYNTHETIC = "semi-synthetic"  # real pictures in generated scenes
SYNTHETIC = "synthetic"  # generated altogether


class TrainingSet(NamedTuple):
    """Training samples and how a batch of them becomes the model's input.

    `prepare(batch, rng)` takes a slice of `inputs` and gives the float32 array that the model
    takes, augmented with the given generator. Inputs may be mere numbers that `prepare` makes
    pictures of.

    Targets are class labels, unless `loss` says what is made of them: `loss(module, inputs,
    targets)` gives the scalar that training makes smaller, of tensors with the targets as they are
    stored (boxes, words; padded where samples have different numbers of them). It calls the
    module, or parts of it, and may draw from torch's generator, which is seeded by epoch.
    """

    inputs: np.ndarray
    targets: np.ndarray
    prepare: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    loss: Loss | None = None


@dataclass(frozen=True)
class SubsetMetric:
    """A metric of some of the test samples: of those whose `column` of the rows is not 0.

    Its interval comes from resamplings of these samples alone, so that each holds as many of them
    as the test set does. A plain function that selects rows by itself would meet resamplings
    without any.
    """

    column: int
    metric: RowsMetric

    def members(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows that the metric is about, in their order."""
        members: np.ndarray = rows[rows[:, self.column] != 0]
        return members

    def __call__(self, rows: np.ndarray) -> float:
        """Return the metric of the members among the rows; NaN where there are none."""
        members = self.members(rows)
        return self.metric(members) if len(members) else math.nan


def members(metric: RowsMetric, rows: np.ndarray) -> np.ndarray:
    """Return the rows that a metric is about: all, or the members of a `SubsetMetric`."""
    return metric.members(rows) if isinstance(metric, SubsetMetric) else rows


class Task:
    """Subclass it; only `inputs` is required. Without a metric a model is timed, not judged.

    A task of one metric gives `metric_name` and `metric`; one of several defines `metrics`.
    Training, calibration and test samples must be disjoint.
    """

    metric_name: str = ""  # such as "top1"
    # What must be said wherever a result of this task is shown, such as `SEMI_SYNTHETIC`.
    labels: tuple[str, ...] = ()

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return realistic inputs: each array's first axis is `batch` long."""
        raise Unsupported(f"{type(self).__name__}: a task must define inputs(batch, seed)")

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield `samples` calibration samples in batches, one batch in memory at a time."""
        raise Unsupported(f"{type(self).__name__}: this task has no calibration samples")

    def train(self) -> TrainingSet:
        """Return the training samples."""
        raise Unsupported(
            f"{type(self).__name__}: this task has no training samples; its method `train` gives "
            f"them"
        )

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return a float64 array (samples, columns), one row a test sample, in a fixed order.

        `samples` limits the test set to a seeded choice of so many; None takes it whole.
        """
        raise Unsupported(f"{type(self).__name__}: this task has no labelled test samples")

    def metric(self, rows: np.ndarray) -> float:
        """Return the metric `metric_name` of rows, a fraction in [0, 1]; higher is better."""
        raise Unsupported(f"{type(self).__name__}: this task has no metric")

    def metrics(self) -> Mapping[str, RowsMetric]:
        """Return the task's metrics by name, the main one first; all reduce the same rows.

        Each is a fraction in [0, 1] for any choice of rows, and higher is better. What is about
        some of the samples alone is a `SubsetMetric`. By default it is the one of `metric_name`
        and `metric`, or none.
        """
        return {self.metric_name: self.metric} if self.metric_name else {}

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return what the model takes for one picture, uint8 (height, width, RGB): a batch of one.

        Raises `ConfigError` for a picture whose size does not do.
        """
        raise Unsupported(f"{type(self).__name__}: this task makes no input of a picture")

    def agreement(
        self, expected: Outputs, answered: Outputs, precision: str
    ) -> dict[str, float] | None:
        """Return how far an engine's answers lie from the model's, where a set is compared.

        None, as here, lets the arrays be compared number by number. Raises `ParityError` where
        they differ too much.
        """
        return None

    def fingerprint(self) -> str:
        """Return a text that changes when the data change: it becomes part of cache keys."""
        return ""
