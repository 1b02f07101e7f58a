"""The task of every classifier of pictures: top-1 on a labelled test set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from perfsuite.data.images import cropped
from perfsuite.data.labels import misfit
from perfsuite.data.samples import held_out_tenth
from perfsuite.domain.pictures import Shown
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.task import Inputs, Outputs, Predict, Task, TrainingSet
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.workloads.tasks.shown import shown_classes

BATCH = 100  # pictures of a call


class LabelledPictures(Protocol):
    """Pictures and their labels, as many of both."""

    @property
    def images(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...


def top1_rows(outputs: Outputs, labels: np.ndarray) -> np.ndarray:
    """Return (samples, 3) rows: 1 if right else 0, the answer, the label.

    The first output must be scores (samples, classes). Raises `ConfigError` for another shape, and
    for labels that are no classes, with what to do.
    """
    scores = np.asarray(outputs[0])
    if scores.ndim != 2 or len(scores) != len(labels):
        raise ConfigError(
            f"the model's first output has the shape {scores.shape} for {len(labels)} samples; "
            f"top-1 needs one row a sample and one column a class: ({len(labels)}, classes)"
        )
    if told := misfit(labels, scores.shape):
        raise ConfigError(told)
    answers = scores.argmax(axis=1)
    return np.stack([answers == labels, answers, labels], axis=1).astype(np.float64)


def _chosen(count: int, samples: int | None) -> np.ndarray:
    """Return the places of all samples, or of a seeded choice, in order."""
    return np.sort(np.random.default_rng(0).permutation(count)[:samples])


@dataclass(frozen=True)
class Classification(Task):
    """Labelled pictures: `load(split)` gives the samples of `train`, `calibration` or `test`.

    With `has_validation` it also gives those of `validation`, which training never sees. Without,
    a seeded tenth of the training pictures, as they are stored, is for validation.

    `prepare` turns stored pictures into the model's float32 NCHW input; `augment(pictures, rng)`
    varies stored pictures for training; `identity` is a text that changes when the data do.
    `declared` says as data what `prepare` does. Classes have `names`, from label 0 on, or numbers.
    """

    load: Callable[[str], LabelledPictures]
    prepare: Callable[[np.ndarray], np.ndarray]
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    identity: str = ""
    input_name: str = "images"
    has_validation: bool = False
    declared: Preprocessing | None = None
    names: tuple[str, ...] = field(default=(), kw_only=True)
    metric_name = "top1"

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` test pictures, chosen by `seed`."""
        images = self.load("test").images
        chosen = np.random.default_rng(seed).integers(0, len(images), batch)
        return {self.input_name: self.prepare(images[chosen])}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield the first `samples` calibration pictures, `BATCH` at a time."""
        images = self.load("calibration").images[:samples]
        for start in range(0, len(images), BATCH):
            yield {self.input_name: self.prepare(images[start : start + BATCH])}

    def train(self) -> TrainingSet:
        """Return the training pictures with their augmentation."""
        images, labels = self.load("train").images, self.load("train").labels
        return TrainingSet(
            images, labels, lambda batch, rng: self.prepare(self.augment(batch, rng))
        )

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row a picture: 1 if right else 0, the answer, the label."""
        found = self.load("test")
        return self._rows(found, np.arange(len(found.images)), predict, samples)

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row, as `rows` does, for each picture for validation."""
        places = self.held_out()
        found = self.load("validation" if places is None else "train")
        if places is None:
            places = np.arange(len(found.images))
        return self._rows(found, places, predict, samples)

    def held_out(self) -> np.ndarray | None:
        """Return a seeded tenth of the training pictures, or None if validation has its own."""
        return None if self.has_validation else held_out_tenth(len(self.load("train").images))

    def _rows(
        self, found: LabelledPictures, places: np.ndarray, predict: Predict, samples: int | None
    ) -> np.ndarray:
        """Return the rows of the pictures at `places`, or of a seeded choice of `samples`."""
        images, labels = found.images, found.labels
        order = places[_chosen(len(places), samples)]
        rows: list[np.ndarray] = []
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            outputs = predict({self.input_name: self.prepare(images[chosen])})
            if not rows:
                self._check_labels(labels, outputs)
            rows.append(self.answer_rows(outputs, labels[chosen]))
        return np.concatenate(rows)

    def _check_labels(self, labels: np.ndarray, outputs: Outputs) -> None:
        """Raise `ConfigError` for any label that is no class, before the others are answered."""
        if self._judges_classes and (told := misfit(labels, np.shape(outputs[0]))):
            raise ConfigError(told)

    @property
    def _judges_classes(self) -> bool:
        """Whether rows are those of `top1_rows`."""
        return type(self).answer_rows is Classification.answer_rows

    def answer_rows(self, outputs: Outputs, labels: np.ndarray) -> np.ndarray:
        """Return one row for each picture of a batch."""
        return top1_rows(outputs, labels)

    def metric(self, rows: np.ndarray) -> float:
        """Return top-1: the share of right answers."""
        return float(rows[:, 0].mean())

    def right(self, rows: np.ndarray) -> np.ndarray | None:
        """Return which answers are the label; None if the task has rows of its own."""
        return rows[:, 0] == 1 if self._judges_classes else None

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return pictures as they are stored, with the label and the answer, columns 2 and 1."""
        if self.right(rows) is None:
            raise Unsupported(f"{type(self).__name__}: its rows are its own, and its `shown` too")
        images = self.load("test").images
        order = _chosen(len(images), samples)[list(places)]
        return shown_classes(images[order], rows[list(places), 1:3], self.names)

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return one picture, scaled and cropped around its centre to the size of stored ones."""
        height, width, channels = self.load("test").images.shape[1:]
        if channels != 3:
            raise Unsupported(
                f"its pictures have {channels} channel, whose values only its data set knows: an "
                f"RGB picture cannot be made one of them; leave out --input"
            )
        return {self.input_name: self.prepare(cropped(picture, width, height)[None])}

    def preprocessing(self) -> Preprocessing | None:
        """Return what `prepare` does, as data, where that was declared."""
        return self.declared

    def fingerprint(self) -> str:
        """Return a text that changes when the data do."""
        return self.identity
