"""The task of a detector that is an ONNX file: pictures with boxes in COCO's or VOC's format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perfsuite.data.annotations import Annotated, Annotations
from perfsuite.data.coco import load_coco
from perfsuite.data.voc import load_voc, voc_classes
from perfsuite.domain.model import InputSpec
from perfsuite.domain.pictures import Shown
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.suite import DetectionTable
from perfsuite.domain.task import KEPT_FOR_CALIBRATION, Inputs, Outputs, Predict, Task
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.sides import BATCH, ITS_NAME
from perfsuite.workloads.onnx.arrays import written
from perfsuite.workloads.tasks.average_precision import Boxes, mean_average_precision, row_of
from perfsuite.workloads.tasks.detection import (
    SAME,
    agreed,
    chosen,
    differences,
    fitted,
    with_boxes,
    within,
)
from perfsuite.workloads.tasks.layouts import LAYOUTS, read_detections

# Of ImageNet's pictures, as torchvision's classifiers want them.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_PICTURE = 3  # sides of one picture


def pictures_shape(
    inputs: Sequence[InputSpec], table: DetectionTable
) -> dict[str, tuple[int | str, ...]]:
    """Return the sides of a detector's pictures, by the name of its one input.

    Raises `ConfigError` for a model that takes anything else, and where the size is not known.
    """
    if len(inputs) != 1:
        names = ", ".join(item.name for item in inputs)
        raise ConfigError(
            f"detection is for models that take pictures alone, and this one takes {names}; write "
            f"a task of your own in Python"
        )
    item = inputs[0]
    form = _form(item, table)
    sides = (form.height, form.width)
    shape: tuple[int | str, ...] = (*sides, 3) if form.last else (3, *sides)
    if not form.single:
        shape = (item.shape[0] if isinstance(item.shape[0], int) else BATCH, *shape)
    return {item.name: shape}


class _Form(NamedTuple):
    """How a model takes pictures: channels last or first, its size, and whether it takes one.

    A `single` picture has no side that counts samples, as torchvision's detectors are exported.
    """

    last: bool
    height: int
    width: int
    single: bool


def _form(item: InputSpec, table: DetectionTable) -> _Form:
    shape = item.shape
    if len(shape) not in (_PICTURE, _PICTURE + 1):
        raise ConfigError(
            f"input '{item.name}' is {written(shape)}, and pictures have 3 sides, channels, height "
            f"and width, or one more that counts them; write a task of your own in Python"
        )
    single, sides = len(shape) == _PICTURE, shape[-_PICTURE:]
    last = sides[2] == 3 and sides[0] != 3
    height, width = table.size or (sides[:2] if last else sides[1:])
    if not isinstance(height, int) or not isinstance(width, int):
        raise ConfigError(
            f"input '{item.name}' is {written(shape)}, which is not pictures of one size; give the "
            f"size: detection = {{ {ITS_NAME} = {{ size = [height, width], ... }} }}"
        )
    return _Form(last, height, width, single)


@dataclass(frozen=True)
class DetectorFile(Task):
    """Pictures with boxes for a detector that takes one input of pictures.

    Pictures are RGB, scaled to fit, and padded with black below or on the right. Every second one
    is for calibration, and for validation what these have beyond `KEPT_FOR_CALIBRATION`; the others
    are for testing. The metric is the mean average precision at an overlap of 0.5.
    """

    item: InputSpec
    table: DetectionTable
    metric_name = "map50"
    rows_version = 2

    @cached_property
    def _annotations(self) -> Annotations:
        source = Path(self.table.annotations)
        if source.suffix == ".json":
            return load_coco(source, Path(self.table.pictures), self.table.classes)
        split = self.table.split
        return load_voc(source, split, self.table.classes or voc_classes(source, split))

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]  # it follows from the data
        """Return the reasons why annotations cannot be used, with numbers and first places."""
        return tuple(f"skipped: {line}" for line in self._annotations.report().splitlines())

    @property
    def _form(self) -> _Form:
        return _form(self.item, self.table)

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` test pictures, chosen by `seed`."""
        pictures = self._annotations.pictures[::2]
        chosen = np.random.default_rng(seed).integers(0, len(pictures), batch)
        found = [self._array(pictures[index].pixels())[0] for index in chosen]
        return {self.item.name: found[0] if self._form.single else np.concatenate(found)}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield up to `samples` pictures that are not for testing, one at a time."""
        for picture in self._annotations.pictures[1::2][:samples]:
            yield {self.item.name: self._array(picture.pixels())[0]}

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row for each test picture, as `row_of` describes it."""
        return self._rows(self._annotations.pictures[::2], predict, samples)

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row, as `rows` does, for each picture that is neither tested nor calibrates.

        Raises `Unsupported` where there is none.
        """
        pictures = self._annotations.pictures[1::2][KEPT_FOR_CALIBRATION:]
        if not pictures:
            raise Unsupported(
                f"there are no validation pictures: of {len(self._annotations.pictures)} half are "
                f"for testing, and of the others the first {KEPT_FOR_CALIBRATION} calibrate; give "
                f"more, or write a task of your own in Python"
            )
        return self._rows(pictures, predict, samples)

    def _rows(
        self, pictures: Sequence[Annotated], predict: Predict, samples: int | None
    ) -> np.ndarray:
        found = self._annotations
        rows = []
        for index in chosen(len(pictures), samples):
            picture = pictures[index]
            detected, scale = self._detected(picture, picture.pixels(), predict)
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
        pictures, some = self._annotations.pictures[::2], list[Shown]()
        form = self._form
        for index in chosen(len(pictures), samples)[list(places)]:
            picture = pictures[index]
            pixels = picture.pixels()
            detected, scale = self._detected(picture, pixels, predict)
            image = fitted(pixels, form.height, form.width)[0]
            some.append(with_boxes(image, picture, scale, detected, self._annotations.classes))
        return some

    def metric(self, rows: np.ndarray) -> float:
        """Return the mean average precision at an overlap of 0.5."""
        return mean_average_precision(rows)

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return the picture, scaled to fit."""
        return {self.item.name: self._array(picture)[0]}

    def preprocessing(self) -> Preprocessing | None:
        """Return how `pixels` and the file's input say that pictures are given.

        None for a model that takes a single picture, as what is declared is that of several.
        """
        form = self._form
        if form.single:
            return None
        scale: tuple[float, ...] = (1.0,)
        mean: tuple[float, ...] = (0.0,)
        std: tuple[float, ...] = (1.0,)
        if np.dtype(self.item.dtype).kind == "f":
            if self.table.pixels == "0-1":
                std = (255.0,)
            elif self.table.pixels == "imagenet":
                scale = (1.0 / 255.0,)
                mean, std = tuple(_MEAN.tolist()), tuple(_DEVIATION.tolist())
        return Preprocessing(
            form.height,
            form.width,
            scale,
            mean,
            std,
            layout="NHWC" if form.last else "NCHW",
            input=self.item.name,
            dtype=self.item.dtype,
            fit="pad",
        )

    def agreement(
        self, expected: Outputs, answered: Outputs, precision: str
    ) -> dict[str, float] | None:
        """Return how far boxes differ whose order has no meaning, of layouts that select boxes.

        Others are compared element by element.
        """
        if LAYOUTS[self.table.layout].overlapping or self._several(expected):
            return None
        one, other = (
            [part[None] for part in self._read(outputs)] for outputs in (expected, answered)
        )
        return agreed(differences(one, other), precision, SAME)

    def fingerprint(self) -> str:
        """Return a text that changes when the data do, or how they are read."""
        return f"{self._annotations.fingerprint()} {self.table}"

    def _several(self, outputs: Outputs) -> bool:
        return any(output.ndim == 3 and len(output) > 1 for output in outputs)

    def _read(self, outputs: Outputs) -> Boxes:
        form = self._form
        return read_detections(self.table.layout, outputs, form.height, form.width)

    def _detected(
        self, picture: Annotated, pixels: np.ndarray, predict: Predict
    ) -> tuple[Boxes, float]:
        """Return what is found in a picture, in the model's pixels, and the factor of scaling."""
        array, scale = self._array(pixels)
        found = self._labelled(self._read(predict({self.item.name: array})))
        return within(found, picture, scale), scale

    def _labelled(self, found: Boxes) -> Boxes:
        """Return the detections with labels from 1, in the order of the data set's classes."""
        said = self.table.labels or LAYOUTS[self.table.layout].labels
        ids = self._annotations.ids
        if said == "index" or said == "label" or not ids:
            labels = found.labels + (said == "index")
            self._require_named(labels)
            return found._replace(labels=labels)
        known = np.isin(found.labels, ids)  # the model may know classes that the data set has not
        places = {number: place + 1 for place, number in enumerate(ids)}
        labels = np.array([places[int(one)] for one in found.labels[known]], np.int64)
        return Boxes(found.boxes[known], labels, found.values[known])

    def _require_named(self, labels: np.ndarray) -> None:
        """Raise `ConfigError` for labels, from 1, of classes beyond those of the data set."""
        classes = self._annotations.classes
        if labels.max(initial=0) > len(classes):
            raise ConfigError(
                f"the model has at least {labels.max()} classes, and {self.table.annotations} has "
                f"{len(classes)} ({', '.join(classes[:3])}{', ...' * (len(classes) > 3)}); give "
                f"the names of the model's in its order, whether there are boxes of them or not: "
                f"classes = [...] in its detection table"
            )

    def _array(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """Return a picture as the model's input of one sample, and the factor of its scaling."""
        form = self._form
        canvas, scale = fitted(picture, form.height, form.width)
        values, dtype = canvas, np.dtype(self.item.dtype)
        if dtype.kind == "f":
            values = canvas.astype(np.float32)
            if self.table.pixels != "0-255":
                values = values / np.float32(255)
            if self.table.pixels == "imagenet":
                values = (values - _MEAN) / _DEVIATION
        values = values if form.last else values.transpose(2, 0, 1)
        return np.ascontiguousarray(values if form.single else values[None], dtype), scale
