"""The task of a detector that is an ONNX file: pictures with boxes in COCO's or VOC's format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from perfsuite.data.annotations import Annotated, Annotations, decoded
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
)
from perfsuite.workloads.tasks.layouts import LAYOUTS, read_detections

# Of ImageNet's pictures, as torchvision's classifiers want them.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


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
    last, height, width = _pictures(item, table)
    length = item.shape[0] if isinstance(item.shape[0], int) else BATCH
    return {item.name: (length, height, width, 3) if last else (length, 3, height, width)}


def _pictures(item: InputSpec, table: DetectionTable) -> tuple[bool, int, int]:
    """Return whether channels are last, the height and the width of pictures."""
    shape = item.shape
    last = len(shape) == 4 and shape[3] == 3 and shape[1] != 3
    sides = (shape[1:3] if last else shape[2:4]) if len(shape) == 4 else ()
    height, width = table.size or (sides if len(sides) == 2 else ("?", "?"))
    if len(shape) != 4 or not isinstance(height, int) or not isinstance(width, int):
        raise ConfigError(
            f"input '{item.name}' is {written(shape)}, which is not pictures of one size; give the "
            f"size: detection = {{ {ITS_NAME} = {{ size = [height, width], ... }} }}"
        )
    return last, height, width


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
    def _size(self) -> tuple[bool, int, int]:
        """Return whether channels are last, the height and the width."""
        return _pictures(self.item, self.table)

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` test pictures, chosen by `seed`."""
        pictures = self._annotations.pictures[::2]
        chosen = np.random.default_rng(seed).integers(0, len(pictures), batch)
        found = [self._picture(pictures[index])[0] for index in chosen]
        return {self.item.name: np.concatenate(found)}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield up to `samples` pictures that are not for testing, one at a time."""
        for picture in self._annotations.pictures[1::2][:samples]:
            yield {self.item.name: self._picture(picture)[0]}

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
            array, scale = self._picture(picture)
            detected = self._labelled(self._read(predict({self.item.name: array})))
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
        _, height, width = self._size
        for index in chosen(len(pictures), samples)[list(places)]:
            picture = pictures[index]
            array, scale = self._picture(picture)
            detected = self._labelled(self._read(predict({self.item.name: array})))
            image = fitted(decoded(picture.path), height, width)[0]
            some.append(with_boxes(image, picture, scale, detected, self._annotations.classes))
        return some

    def metric(self, rows: np.ndarray) -> float:
        """Return the mean average precision at an overlap of 0.5."""
        return mean_average_precision(rows)

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return the picture, scaled to fit."""
        return {self.item.name: self._array(picture)[0]}

    def preprocessing(self) -> Preprocessing:
        """Return how `pixels` and the file's input say that pictures are given."""
        last, height, width = self._size
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
            height,
            width,
            scale,
            mean,
            std,
            layout="NHWC" if last else "NCHW",
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
        _, height, width = self._size
        return read_detections(self.table.layout, outputs, height, width)

    def _labelled(self, found: Boxes) -> Boxes:
        """Return the detections with labels from 1, in the order of the data set's classes."""
        said = self.table.labels or LAYOUTS[self.table.layout].labels
        if said == "index":
            return found._replace(labels=found.labels + 1)
        ids = self._annotations.ids
        if said == "label" or not ids:
            return found
        known = np.isin(found.labels, ids)  # the model may know classes that the data set has not
        places = {number: place + 1 for place, number in enumerate(ids)}
        labels = np.array([places[int(one)] for one in found.labels[known]], np.int64)
        return Boxes(found.boxes[known], labels, found.values[known])

    def _picture(self, picture: Annotated) -> tuple[np.ndarray, float]:
        return self._array(decoded(picture.path))

    def _array(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """Return a picture as the model's input of one sample, and the factor of its scaling."""
        last, height, width = self._size
        canvas, scale = fitted(picture, height, width)
        values = canvas[None] if last else canvas[None].transpose(0, 3, 1, 2)
        dtype = np.dtype(self.item.dtype)
        if dtype.kind != "f":
            return np.ascontiguousarray(values, dtype), scale
        values = np.ascontiguousarray(values, np.float32)
        if self.table.pixels != "0-255":
            values = values / np.float32(255)
        if self.table.pixels == "imagenet":
            shape = (1, 1, 1, 3) if last else (1, 3, 1, 1)
            values = (values - _MEAN.reshape(shape)) / _DEVIATION.reshape(shape)
        return values.astype(dtype), scale
