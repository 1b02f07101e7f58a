"""Boxes read from what detectors write: one detection and its double, in each layout, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite import ConfigError
from perfsuite.workloads.tasks.average_precision import DETECTIONS, Boxes
from perfsuite.workloads.tasks.layouts import DESCRIBED, LAYOUTS, read_detections, suppressed

HEIGHT, WIDTH = 100, 200
BOX = [20.0, 10.0, 60.0, 50.0]  # left, top, right, bottom
CENTRED = [40.0, 30.0, 40.0, 40.0]
SHARES = [0.1, 0.1, 0.3, 0.5]
FEW = 0.0001  # a score below the least that counts


def outputs(layout: str) -> list[np.ndarray]:
    """Return class 2 of 3 (counted from 0) in one box with the score 0.8, and what is no more."""
    again, nothing = [41.0, 30.0, 40.0, 40.0], [5.0, 5.0, 2.0, 2.0]
    scores = [[0.05, 0.1, 0.8], [0.05, 0.1, 0.7], [FEW, FEW, FEW]]
    if layout == "yolov5":
        rows = [[*b, 1.0, *s] for b, s in zip([CENTRED, again, nothing], scores, strict=True)]
        return [np.array([rows], np.float32)]
    if layout == "yolov8":
        rows = [[*b, *s] for b, s in zip([CENTRED, again, nothing], scores, strict=True)]
        return [np.array([rows], np.float32).transpose(0, 2, 1)]
    if layout == "yolov10":
        return [np.array([[[*BOX, 0.8, 2], [0, 0, 0, 0, FEW, 1]]], np.float32)]
    if layout == "torchvision":
        return [np.array([BOX], np.float32), np.array([3]), np.array([0.8], np.float32)]
    if layout == "tensorflow":
        top_first = np.array([[[0.1, 0.1, 0.5, 0.3], [0, 0, 0, 0]]], np.float32)
        return [
            np.array([1.0], np.float32),
            top_first,
            np.array([[0.8, FEW]], np.float32),
            np.array([[3.0, 1.0]], np.float32),
        ]
    classes = np.array([[[0.1, 0.05, 0.1, 0.8], [0.2, 0.0, 0.1, 0.7]]], np.float32)
    return [np.array([[SHARES, SHARES]], np.float32), classes]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_each_layout_gives_the_same_box(layout: str) -> None:
    found = read_detections(layout, outputs(layout), HEIGHT, WIDTH)
    assert found.boxes.shape == (1, 4)
    np.testing.assert_allclose(found.boxes[0], BOX, atol=1e-4)
    first = {"index": 2, "label": 3, "id": 3}[LAYOUTS[layout].labels]
    assert found.labels.tolist() == [first]
    assert found.values[0] == pytest.approx(0.8)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_outputs_of_another_layout_are_told_with_what_was_expected(layout: str) -> None:
    with pytest.raises(ConfigError, match=r"shapes \(1, 3\).*'" + layout) as told:
        read_detections(layout, [np.zeros((1, 3), np.float32)], HEIGHT, WIDTH)
    assert DESCRIBED[layout] in str(told.value)


def test_ssd_may_give_labels_and_scores_of_their_own() -> None:
    boxes, labels = np.array([[SHARES]], np.float32), np.array([[3]])
    found = read_detections("ssd", [boxes, labels, np.array([[0.8]], np.float32)], HEIGHT, WIDTH)
    assert found.labels.tolist() == [3] and found.values.tolist() == [np.float32(0.8)]


def test_boxes_of_other_classes_do_not_suppress_each_other() -> None:
    boxes = np.array([BOX, BOX, [0, 0, 5, 5]])
    found = Boxes(boxes, np.array([1, 2, 1]), np.array([0.9, 0.8, 0.7]))
    assert suppressed(found).tolist() == [0, 1, 2]
    assert suppressed(found._replace(labels=np.array([1, 1, 1]))).tolist() == [0, 2]
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    assert suppressed(nothing).tolist() == []


def test_of_boxes_apart_as_many_stay_as_are_evaluated() -> None:
    left = np.arange(DETECTIONS + 20.0)[:, None] * [10, 0, 10, 0]
    corners = left + np.array([0, 0, 5, 5])
    apart = Boxes(corners, np.ones(len(left), int), np.linspace(1, 0.5, len(left)))
    assert suppressed(apart).tolist() == list(range(DETECTIONS))
