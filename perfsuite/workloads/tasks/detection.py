"""The task of every detector of objects: mean average precision at an overlap of 0.5."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.data.annotations import Annotated, Annotations
from perfsuite.data.samples import held_out_tenth
from perfsuite.domain.pictures import Said, Shown, boxes_in
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.task import Inputs, Outputs, Predict, Task, TrainingSet
from perfsuite.errors import ConfigError, ParityError
from perfsuite.workloads.tasks.average_precision import (
    Boxes,
    mean_average_precision,
    partners,
    row_of,
)
from perfsuite.workloads.tasks.detection_lesson import DetectionTaught
from perfsuite.workloads.tasks.moved_boxes import marked, mirrored_and_zoomed

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH = 8  # calibration pictures in memory at once
SHOWN_FROM = 0.5  # the score of a box that is drawn
# The largest `differences` of two engines' detections in fp32.
SAME = {"boxes": 0.5, "scores": 1e-3, "unmatched": 0.0}


@dataclass(frozen=True)
class Detection(Task):
    """Pictures with boxes: `load(split)` gives those of `train`, `calibration` or `test`.

    The model takes `images`, float32 (N, 3, height, width) RGB from 0 to 1, and returns boxes
    (N, n, 4) in pixels of that size, labels (N, n) from 1 and scores (N, n), padded with zeros.
    Pictures of another size are scaled to fit, and padded with black below or on the right. A
    seeded tenth of the training pictures is for validation.
    """

    load: Callable[[str], Annotations]
    height: int
    width: int
    metric_name = "map50"
    rows_version = 2

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]  # it follows from the data
        """Return the reasons why test annotations cannot be used, with numbers and first places."""
        return tuple(f"skipped: {line}" for line in self.load("test").report().splitlines())

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` test pictures, chosen by `seed`."""
        pictures = self.load("test").pictures
        chosen = np.random.default_rng(seed).integers(0, len(pictures), batch)
        return {"images": scaled(np.stack([self._fitted(pictures[i])[0] for i in chosen]))}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield the first `samples` calibration pictures, `BATCH` at a time."""
        pictures = self.load("calibration").pictures[:samples]
        for start in range(0, len(pictures), BATCH):
            some = [self._fitted(picture)[0] for picture in pictures[start : start + BATCH]]
            yield {"images": scaled(np.stack(some))}

    def train(self) -> TrainingSet:
        """Return the training pictures; boxes (n, most, 5) are label (0 for none) and corners."""
        pictures = self._training()
        images = np.empty((len(pictures), self.height, self.width, 3), np.uint8)
        boxes = np.zeros((len(pictures), max(len(p.boxes) for p in pictures), 5), np.float32)
        for index, picture in enumerate(pictures):
            images[index], scale = self._fitted(picture)
            wanted = ~picture.ignored
            marks = np.column_stack([picture.labels, picture.boxes * scale])[wanted]
            boxes[index, : len(marks)] = marks
        return TrainingSet(images, boxes, varied_light, loss, DetectionTaught())

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row for each picture, as `row_of` describes it."""
        return self._rows(self.load("test"), predict, samples)

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row, as `rows` does, for each picture that is held out of training."""
        pictures = self._training()
        held_out = tuple(pictures[index] for index in self.held_out())
        return self._rows(replace(self.load("train"), pictures=held_out), predict, samples)

    def held_out(self) -> np.ndarray:
        """Return the places of a seeded tenth of the training pictures."""
        return held_out_tenth(len(self._training()))

    def _training(self) -> list[Annotated]:
        return [picture for picture in self.load("train").pictures if len(picture.boxes)]

    def _rows(self, found: Annotations, predict: Predict, samples: int | None) -> np.ndarray:
        """Return the rows of all pictures, or of a seeded choice of `samples` of them."""
        rows = []
        for index in chosen(len(found.pictures), samples):
            picture = found.pictures[index]
            image, scale = self._fitted(picture)
            detected = within(detections(predict({"images": scaled(image[None])})), picture, scale)
            marked = Boxes(picture.boxes * scale, picture.labels, picture.ignored.astype(float))
            rows.append(row_of(detected, marked, len(found.classes)))
        return np.stack(rows)

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return pictures with the marked boxes and those that are found now."""
        found, some = self.load("test"), list[Shown]()
        for index in chosen(len(found.pictures), samples)[list(places)]:
            picture = found.pictures[index]
            image, scale = self._fitted(picture)
            detected = within(detections(predict({"images": scaled(image[None])})), picture, scale)
            some.append(with_boxes(image, picture, scale, detected, found.classes))
        return some

    def metric(self, rows: np.ndarray) -> float:
        """Return the mean average precision at an overlap of 0.5."""
        return mean_average_precision(rows)

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return the picture, scaled to fit."""
        return {"images": scaled(fitted(picture, self.height, self.width)[0][None])}

    def preprocessing(self) -> Preprocessing:
        """Return that pictures are scaled to fit, and their values to 1."""
        return how_scaled(self.height, self.width)

    def agreement(self, expected: Outputs, answered: Outputs, precision: str) -> dict[str, float]:
        """Return the `differences`; raise `ParityError` in fp32 unless detections are the same."""
        return agreed(differences(expected, answered), precision, SAME)

    def fingerprint(self) -> str:
        """Return a text that changes when the data do."""
        splits = (self.load(split).fingerprint() for split in ("train", "calibration", "test"))
        return " ".join(["detection", str(self.height), str(self.width), *splits])

    def _fitted(self, picture: Annotated) -> tuple[np.ndarray, float]:
        return fitted(picture.pixels(), self.height, self.width)


def chosen(count: int, samples: int | None) -> np.ndarray:
    """Return the places of all pictures, or of a seeded choice, in order."""
    return np.sort(np.random.default_rng(0).permutation(count)[:samples])


def with_boxes(
    image: np.ndarray, picture: Annotated, scale: float, detected: Boxes, classes: Sequence[str]
) -> Shown:
    """Return a fitted picture with its marked boxes and those that were detected.

    Of these it has the likely ones: with a score of `SHOWN_FROM` or more.
    """
    height, width = image.shape[:2]
    likely = detected.values >= SHOWN_FROM
    truth = boxes_in(picture.boxes * scale, _named(picture.labels, classes), height, width)
    corners, values = detected.boxes[likely], detected.values[likely]
    named = _named(detected.labels[likely], classes)
    answer = boxes_in(corners, named, height, width, values)
    return Shown(image, Said(boxes=truth), Said(boxes=answer))


def _named(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    names = dict(enumerate(classes, 1))
    return [names.get(int(label), str(int(label))) for label in labels]


def fitted(picture: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float]:
    """Return a uint8 (h, w, 3) picture scaled to fit into `height` x `width`, and the factor."""
    from PIL import Image

    scale = min(height / picture.shape[0], width / picture.shape[1])
    canvas = np.zeros((height, width, 3), np.uint8)
    rows, columns = (max(1, round(side * scale)) for side in picture.shape[:2])
    if scale != 1:
        resized = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR)
        picture = np.asarray(resized)
    canvas[:rows, :columns] = picture
    return canvas, scale


def within(detected: Boxes, picture: Annotated, scale: float) -> Boxes:
    """Return detections cut to the picture, which is `scale` times its size, as truth is cut."""
    right, bottom = picture.width * scale, picture.height * scale
    return detected._replace(boxes=np.clip(detected.boxes, 0, (right, bottom, right, bottom)))


def scaled(pictures: np.ndarray) -> np.ndarray:
    """Return uint8 NHWC pictures as float32 NCHW from 0 to 1."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def how_scaled(height: int, width: int) -> Preprocessing:
    """Return what `fitted` and `scaled` do to pictures, as data."""
    return Preprocessing(height, width, scale=(1.0,), std=(255.0,), fit="pad")


def varied_light(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the model's input of uint8 NHWC pictures, with brightness and contrast varied."""
    images = scaled(pictures)
    contrast = rng.uniform(0.8, 1.2, (len(images), 1, 1, 1)).astype(np.float32)
    light = rng.uniform(-0.1, 0.1, (len(images), 3, 1, 1)).astype(np.float32)
    changed: np.ndarray = np.clip((images - 0.5) * contrast + 0.5 + light, 0, 1)
    return changed


def loss(module: nn.Module, images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return the sum of the four losses of Faster R-CNN, on mirrored and zoomed pictures."""
    import torch

    images, boxes = mirrored_and_zoomed(images, boxes)
    losses = module(images, marked(boxes))
    return torch.stack(list(losses.values())).sum()


def detections(outputs: Outputs) -> Boxes:
    """Return the detections of one picture; raise `ConfigError` for outputs of another kind."""
    shapes = [output.shape for output in outputs]
    if len(shapes) != 3 or shapes != [(1, shapes[1][-1], 4), *[(1, shapes[1][-1])] * 2]:
        raise ConfigError(
            f"the model's outputs have the shapes {shapes}; a detector gives boxes (1, n, 4), "
            f"labels (1, n) and scores (1, n)"
        )
    boxes, labels, scores = (output[0] for output in outputs)
    return Boxes(boxes, labels, scores)


def differences(expected: Outputs, answered: Outputs, overlap: float = 0.5) -> dict[str, float]:
    """Return how far two detectors' answers to one picture differ, whatever their order.

    Each detection of the first is compared with the one of the second that has the same label and
    overlaps it most. `boxes` is the largest difference of a corner in pixels, `scores` the largest
    of a score, `unmatched` the number of detections of both without a partner by `overlap`.
    """
    one, other = detections(expected), detections(answered)
    one, other = (Boxes(*(part[each.values > 0] for part in each)) for each in (one, other))
    worst = {"boxes": 0.0, "scores": 0.0}
    pairs = partners(one, other, overlap)
    for first, second in pairs:
        corners = np.abs(one.boxes[first].astype(float) - other.boxes[second]).max()
        score = abs(float(one.values[first]) - float(other.values[second]))
        worst["boxes"] = max(worst["boxes"], float(corners))
        worst["scores"] = max(worst["scores"], score)
    return {**worst, "unmatched": float(len(one.labels) + len(other.labels) - 2 * len(pairs))}


def agreed(found: dict[str, float], precision: str, allowed: dict[str, float]) -> dict[str, float]:
    """Return `found`; raise `ParityError` if, in fp32, a difference exceeds the `allowed` one.

    In lower precision other boxes may survive suppression; such a detector is judged by its
    accuracy.
    """
    for name, limit in allowed.items():
        if precision == "fp32" and not found[name] <= limit:
            raise ParityError(
                f"detections differ from the model's: {name} by {found[name]:.3g}, "
                f"{limit:g} is allowed"
            )
    return found
