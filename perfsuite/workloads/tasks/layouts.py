"""How detectors write their boxes, and how boxes are read from that: one entry a layout.

What comes out is in pixels of the model's picture, one row a detection, at most `DETECTIONS` of
them by falling score. Layouts whose boxes overlap by design are suppressed by class (non-maximum
suppression, as in Felzenszwalb et al. 2010, "Object detection with discriminatively trained
part-based models", at an overlap of `SUPPRESSED`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from perfsuite.domain.task import Outputs
from perfsuite.errors import ConfigError
from perfsuite.workloads.tasks.average_precision import DETECTIONS, Boxes, overlaps

LEAST_SCORE = 0.001  # detections below count for nothing in a mean average precision
SUPPRESSED = 0.65
_CANDIDATES = 1000  # that are suppressed, the best ones


class Layout(NamedTuple):
    """How to read the outputs of one picture, and what the numbers of classes mean.

    `read(outputs, height, width)` returns boxes in pixels, labels as the model has them, scores.
    `labels` is `index` where they count classes from 0, `label` where from 1 (0 is the background),
    and `id` where they are the data set's own category ids.
    """

    read: Callable[[Outputs, int, int], Boxes]
    labels: str
    overlapping: bool  # boxes of one object are still several


def read_detections(layout: str, outputs: Outputs, height: int, width: int) -> Boxes:
    """Return the detections of one picture, labels as the model has them.

    Raises `ConfigError` where the outputs have not the shapes of the layout.
    """
    chosen = LAYOUTS[layout]
    try:
        found = chosen.read(outputs, height, width)
    except (IndexError, ValueError, StopIteration) as error:
        shapes = ", ".join(str(output.shape) for output in outputs)
        raise ConfigError(
            f"the model's outputs have the shapes {shapes}, which are not those of the layout "
            f"'{layout}': {DESCRIBED[layout]}"
        ) from error
    kept = np.flatnonzero(found.values >= LEAST_SCORE)
    order = kept[np.argsort(-found.values[kept], kind="stable")][:_CANDIDATES]
    found = Boxes(*(array[order] for array in found))
    if chosen.overlapping:
        chosen_places = suppressed(found)
        found = Boxes(*(array[chosen_places] for array in found))
    return Boxes(*(array[:DETECTIONS] for array in found))


def suppressed(found: Boxes, overlap: float = SUPPRESSED) -> np.ndarray:
    """Return the places of the boxes that no better one of their class overlaps by more.

    Boxes must come by falling score; of those that stay there are `DETECTIONS` at most.
    """
    kept: list[int] = []
    left, none = np.ones(len(found.labels), bool), np.zeros(len(found.labels), bool)
    for place, label in enumerate(found.labels):
        if left[place]:
            kept.append(place)
            if len(kept) == DETECTIONS:
                break
            shares = overlaps(found.boxes[place : place + 1], found.boxes, none)[0]
            left &= (shares <= overlap) | (found.labels != label)
    return np.array(kept, np.int64)


def _cornered(boxes: np.ndarray) -> np.ndarray:
    """Return boxes given by centre, width and height by their corners."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _matrix(outputs: Outputs, *, least: int) -> np.ndarray:
    """Return the first output of one picture, (rows, columns), with at least so many columns."""
    found = np.asarray(outputs[0], np.float64)
    found = found[0] if found.ndim == 3 and len(found) == 1 else found
    if found.ndim != 2 or found.shape[1] < least:
        raise ValueError(found.shape)
    return found


def _yolov5(outputs: Outputs, height: int, width: int) -> Boxes:
    rows = _matrix(outputs, least=6)
    scores = rows[:, 4:5] * rows[:, 5:]
    labels = scores.argmax(axis=1)
    return Boxes(_cornered(rows[:, :4]), labels, scores.max(axis=1))


def _yolov8(outputs: Outputs, height: int, width: int) -> Boxes:
    found = np.asarray(outputs[0], np.float64)
    if found.ndim != 3 or len(found) != 1 or found.shape[1] < 5:
        raise ValueError(found.shape)
    rows = found[0].T
    return Boxes(_cornered(rows[:, :4]), rows[:, 4:].argmax(axis=1), rows[:, 4:].max(axis=1))


def _yolov10(outputs: Outputs, height: int, width: int) -> Boxes:
    rows = _matrix(outputs, least=6)
    if rows.shape[1] != 6:
        raise ValueError(rows.shape)
    return Boxes(rows[:, :4], rows[:, 5].astype(np.int64), rows[:, 4])


def _flat(output: np.ndarray) -> np.ndarray:
    """Return an output of one picture without the axis of the batch."""
    return output[0] if output.ndim > 1 and len(output) == 1 else output


def _torchvision(outputs: Outputs, height: int, width: int) -> Boxes:
    found = [np.asarray(output) for output in outputs]
    boxes = next(_boxes(one) for one in found if one.shape[-1:] == (4,) and one.ndim in (2, 3))
    labels = next(_flat(one) for one in found if one.dtype.kind in "iu")
    scores = next(_flat(one) for one in found if one.dtype.kind == "f" and one.shape[-1:] != (4,))
    if not len(boxes) == len(labels) == len(scores):
        raise ValueError(boxes.shape)
    return Boxes(boxes.astype(np.float64), labels.astype(np.int64), scores)


def _boxes(output: np.ndarray) -> np.ndarray:
    return output[0] if output.ndim == 3 else output


def _ssd(outputs: Outputs, height: int, width: int) -> Boxes:
    found = [np.asarray(output) for output in outputs]
    first = next(one for one in found if one.ndim == 3 and one.shape[-1] == 4)
    boxes, sides = first[0], np.array([width, height, width, height], np.float64)
    scores = next(one for one in found if one.dtype.kind == "f" and one is not first)
    if scores.ndim == 3:  # one column a class, the background first
        shares = scores[0][:, 1:]
        return Boxes(boxes * sides, shares.argmax(axis=1) + 1, shares.max(axis=1))
    labels = next(_flat(one) for one in found if one.dtype.kind in "iu")
    return Boxes(boxes * sides, labels.astype(np.int64), _flat(scores))


def _tensorflow(outputs: Outputs, height: int, width: int) -> Boxes:
    found = [np.asarray(output) for output in outputs]
    boxes = next(_boxes(one) for one in found if one.ndim == 3 and one.shape[-1] == 4)
    pairs = [_flat(one) for one in found if one.ndim == 2 and one.shape[-1] == len(boxes)]
    # Both are float: classes are whole numbers.
    labels = next(one for one in pairs if np.array_equal(one, np.rint(one)) and one.max() >= 1)
    scores = next(one for one in pairs if one is not labels)
    sides = np.array([width, height, width, height], np.float64)
    return Boxes(boxes[:, [1, 0, 3, 2]] * sides, labels.astype(np.int64), scores)


LAYOUTS: dict[str, Layout] = {
    "ssd": Layout(_ssd, "label", overlapping=True),
    "tensorflow": Layout(_tensorflow, "id", overlapping=False),
    "torchvision": Layout(_torchvision, "id", overlapping=False),
    "yolov5": Layout(_yolov5, "index", overlapping=True),
    "yolov8": Layout(_yolov8, "index", overlapping=True),
    "yolov10": Layout(_yolov10, "index", overlapping=False),
}
DESCRIBED = {
    "ssd": "boxes (1, n, 4) as shares of the picture, left, top, right, bottom; and scores "
    "(1, n, classes with the background first), or labels (1, n) and scores (1, n)",
    "tensorflow": "boxes (1, n, 4) as shares of the picture, top, left, bottom, right; classes "
    "(1, n) and scores (1, n)",
    "torchvision": "boxes (n, 4) in pixels, labels (n,) as integers, scores (n,)",
    "yolov5": "(1, n, 5 + classes): centre, width and height in pixels, objectness, class scores",
    "yolov8": "(1, 4 + classes, n): centre, width and height in pixels, class scores",
    "yolov10": "(1, n, 6): left, top, right, bottom in pixels, score, class",
}
