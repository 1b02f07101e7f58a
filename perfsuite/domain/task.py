"""A task: the data of a model, the rows of its answers and their metrics, all in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.domain.pictures import Shown
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.errors import ConfigError, Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn

Inputs = dict[str, np.ndarray]  # the arrays of one call of a model, by input name
Outputs = list[np.ndarray]  # the results of one call, in the model's order
Predict = Callable[[Inputs], Outputs]
RowsMetric = Callable[[np.ndarray], float]  # of rows (samples, columns)
Loss = Callable[["nn.Module", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
# Of a student, its teacher, inputs and targets.
TaughtLoss = Callable[["nn.Module", "nn.Module", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]

# The first calibration samples, which validation never uses where both have the same source.
KEPT_FOR_CALIBRATION = 500

SEMI_SYNTHETIC = "semi-synthetic"  # real pictures in generated scenes
SYNTHETIC = "synthetic"  # entirely generated
UNTRAINED = "untrained"  # random weights: its answers mean nothing


class TrainingSet(NamedTuple):
    """Training samples, and how a batch of them becomes the model's input.

    `prepare(batch, rng)` takes a slice of `inputs` and returns the model's float32 input, augmented
    with the given generator. Inputs may be numbers of samples, which `prepare` generates or loads.

    Targets are class labels, unless there is a `loss`: `loss(module, inputs, targets)` returns the
    scalar to be minimized, from tensors; targets are as stored (such as boxes or words, padded if
    samples have different numbers of them). It calls the module, or parts of it, and may use
    torch's generator, which is seeded by epoch. Module and tensors may lie on a card: tensors of
    its own are made on `inputs.device`.

    `taught(student, teacher, inputs, targets)` takes the place of such a loss where there is a
    teacher, which is in evaluation mode and must stay as it is. It is the whole loss, so what the
    targets count in it is its own affair. It may have a method `lesson(student, teacher, weight)`,
    which gives what takes its place in one training: a torch module that is called like it. The
    weights of that module are trained with the student's, kept in checkpoints, and thrown away in
    the end; `weight` is the plan's `teacher`.
    """

    inputs: np.ndarray
    targets: np.ndarray
    prepare: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    loss: Loss | None = None
    taught: TaughtLoss | None = None

    def without(self, places: np.ndarray) -> TrainingSet:
        """Return the set without the samples at these places of `inputs`.

        Raises `ConfigError` for places that it has not, and where no sample would be left.
        """
        count, asked = len(self.inputs), np.asarray(places)
        if asked.size and not 0 <= asked.min() <= asked.max() < count:
            raise ConfigError(
                f"held_out() names the training samples {asked.min()} to {asked.max()}, and there "
                f"are {count}, counted from 0"
            )
        kept = np.setdiff1d(np.arange(count), asked)
        if not len(kept):
            raise ConfigError(
                f"held_out() names all {count} training samples: none is left to train on"
            )
        return self._replace(inputs=self.inputs[kept], targets=self.targets[kept])


@dataclass(frozen=True)
class SubsetMetric:
    """A metric of a part of the test samples: of the rows whose `column` is not 0.

    Its interval comes from resamplings of these rows only, so that each has as many of them as the
    test set. A plain function that selects rows itself would be given resamplings without any.
    """

    column: int
    metric: RowsMetric

    def members(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows that the metric is computed from, in their order.

        Raises `ConfigError` if the rows have no such column.
        """
        if not isinstance(self.column, int) or not 0 <= self.column < rows.shape[1]:
            raise ConfigError(
                f"a SubsetMetric names column {self.column!r}; the rows have {rows.shape[1]}, "
                f"counted from 0"
            )
        members: np.ndarray = rows[rows[:, self.column] != 0]
        return members

    def __call__(self, rows: np.ndarray) -> float:
        """Return the metric of the members among the rows; NaN without members."""
        members = self.members(rows)
        return self.metric(members) if len(members) else math.nan


def members(metric: RowsMetric, rows: np.ndarray) -> np.ndarray:
    """Return the rows that a metric is about: all, or the members of a `SubsetMetric`."""
    return metric.members(rows) if isinstance(metric, SubsetMetric) else rows


class Task:
    """The base class of tasks; only `inputs` is required. Without a metric a model is only timed.

    A task with one metric defines `metric_name` and `metric`; one with several defines `metrics`.
    Training, calibration and test samples must be disjoint. What chooses (a search, a sensitivity,
    an early stop) sees neither test samples nor what follows from them, but `validation`.
    """

    metric_name: str = ""  # such as "top1"
    # Shown with every result of this task, such as `SEMI_SYNTHETIC`.
    labels: tuple[str, ...] = ()
    # Whether `inputs` are made up (standard normal numbers, zeros), as nobody gave samples.
    made_up: bool = False
    # Raised where rows of the same answers are made otherwise, since rows are kept between runs.
    rows_version: int = 1

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return realistic inputs for `batch` samples, on each array's first axis."""
        raise Unsupported(f"{type(self).__name__}: a task must define inputs(batch, seed)")

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield `samples` calibration samples in batches, one batch in memory at a time."""
        raise Unsupported(f"{type(self).__name__}: this task has no calibration samples")

    @property
    def trains(self) -> bool:
        """Return whether `train` gives samples, without loading any: whether a class defines it.

        A task that defines it, and has none at times, says so by a property of its own.
        """
        return type(self).train is not Task.train

    def train(self) -> TrainingSet:
        """Return the training samples."""
        raise Unsupported(
            f"{type(self).__name__}: this task has no training samples; its method `train` gives "
            f"them"
        )

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return a float64 array (samples, columns): one row for each test sample, in fixed order.

        With `samples`, a seeded choice of so many test samples is answered; with None, all are.
        """
        raise Unsupported(f"{type(self).__name__}: this task has no labelled test samples")

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return rows, as `rows` does, of the validation samples: what chooses may see these.

        They are no test samples, and not among the first `KEPT_FOR_CALIBRATION` of calibration.
        They may be training samples, which `held_out` names.
        """
        raise Unsupported(
            f"{type(self).__name__}: this task has no validation samples; its method "
            f"`validation(predict, samples)` answers them as `rows` does those for testing, and "
            f"`held_out` says which training samples they are, if any"
        )

    def held_out(self) -> np.ndarray | None:
        """Return the places in `train().inputs` of the samples that validation uses.

        With None, the default, validation has samples of its own, which training never sees.
        """
        return None

    def metric(self, rows: np.ndarray) -> float:
        """Return the metric `metric_name` of rows, a fraction in [0, 1]; higher is better."""
        raise Unsupported(f"{type(self).__name__}: this task has no metric")

    def metrics(self) -> Mapping[str, RowsMetric]:
        """Return the task's metrics by name, the main one first; all reduce the same rows.

        Each is a fraction in [0, 1] for any choice of rows, and higher is better. A metric of a
        part of the samples is a `SubsetMetric`. By default it is `metric` under `metric_name`, or
        none.
        """
        return {self.metric_name: self.metric} if self.metric_name else {}

    def right(self, rows: np.ndarray) -> np.ndarray | None:
        """Return for each row whether its answer is right; None where one is more or less good."""
        return None

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return the test samples at these places of `rows`, for people to look at.

        The rows are those of `rows(predict, samples)`. Where they do not tell what was answered,
        `predict` is asked again.
        """
        raise Unsupported(
            f"{type(self).__name__}: this task shows no pictures; its method "
            f"`shown(predict, rows, places, samples)` gives them"
        )

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return the model's input for one picture, uint8 (height, width, RGB), as a batch of one.

        Raises `ConfigError` for a picture of an unsuitable size.
        """
        raise Unsupported(f"{type(self).__name__}: this task makes no input of a picture")

    def preprocessing(self) -> Preprocessing | None:
        """Return how stored pictures become the model's input, as data; None if it is not declared.

        It must give what `inputs` and `rows` ask the model. A shipped model takes it along.
        """
        return None

    def agreement(
        self, expected: Outputs, answered: Outputs, precision: str
    ) -> dict[str, float] | None:
        """Return how far an engine's answers differ from the model's, by name of the difference.

        It is for outputs whose order has no meaning, such as boxes. With None, the default, arrays
        are compared element by element. Raises `ParityError` if they differ too much.
        """
        return None

    def fingerprint(self) -> str:
        """Return a text that changes when the data do, as part of cache keys.

        With none, the default, nobody can tell whether the data are the same: samples are answered
        anew in each run, while what passes have learned from earlier ones is kept.
        """
        return ""


def gives_samples(train: Callable[[], TrainingSet]) -> bool:
    """Tell whether `train`, a task's or that of a pass's context, gives samples; it is called."""
    try:
        train()
    except Unsupported:
        return False
    return True


def main_metric(task: Task, rows: np.ndarray) -> float:
    """Return the main metric of rows; raise `Unsupported` for a task without any."""
    metric = next(iter(task.metrics().values()), None)
    if metric is None:
        raise Unsupported(
            "this task has no metric, by which answers could be told apart; `metric_name` and "
            "`metric` define one"
        )
    return metric(rows)
