"""The mean average precision: by hand, and as COCO's own evaluation has it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from perfsuite.errors import ConfigError
from perfsuite.workloads.tasks.average_precision import (
    DETECTIONS,
    Boxes,
    mean_average_precision,
    overlaps,
    row_of,
)


def boxes(*entries: tuple[float, float, float, float, int, float]) -> Boxes:
    """Return entries of left, top, right, bottom, label, value."""
    array = np.array(entries, np.float64).reshape(-1, 6)
    return Boxes(array[:, :4], array[:, 4].astype(np.int64), array[:, 5])


MARKED = boxes((0, 0, 10, 10, 1, 0), (20, 0, 30, 10, 1, 0))


def test_overlaps_by_hand() -> None:
    one, other = (
        np.array([[0, 0, 10, 10]]),
        np.array([[5, 0, 15, 10], [0, 0, 20, 20], [9, 9, 9, 9]]),
    )
    none = np.zeros(3, bool)
    assert overlaps(one, other, none)[0] == pytest.approx([50 / 150, 100 / 400, 0])
    assert overlaps(one, other, ~none)[0] == pytest.approx([50 / 100, 100 / 100, 0])


def test_average_precision_by_hand() -> None:
    detected = boxes((0, 0, 10, 10, 1, 0.9), (50, 50, 60, 60, 1, 0.8), (20, 0, 30, 10, 1, 0.7))
    row = row_of(detected, MARKED, 1)
    # Precision is 1 up to a recall of 0.5 (51 of the 101 points), then 2/3.
    expected = (51 * 1 + 50 * 2 / 3) / 101
    assert mean_average_precision(row[None]) == pytest.approx(expected, abs=1e-12)


def test_a_box_is_found_once() -> None:
    twice = boxes((0, 0, 10, 10, 1, 0.9), (0, 0, 10, 9, 1, 0.8))
    # The second detection of the same box is wrong; half of the boxes are found.
    assert mean_average_precision(row_of(twice, MARKED, 1)[None]) == pytest.approx(51 / 101)


def test_the_better_score_takes_the_box() -> None:
    row = row_of(boxes((0, 0, 10, 8, 1, 0.4), (0, 0, 10, 6, 1, 0.6)), MARKED, 1)
    verdicts = row[2 * DETECTIONS : 2 * DETECTIONS + 2]
    assert row[:2].tolist() == [0.6, 0.4]
    assert verdicts.tolist() == [1.0, 0.0]


def test_an_overlap_of_one_half_is_enough_and_less_is_not() -> None:
    just = row_of(boxes((0, 0, 10, 5, 1, 0.9)), MARKED, 1)
    under = row_of(boxes((0, 0, 10, 4.99, 1, 0.9)), MARKED, 1)
    assert (just[2 * DETECTIONS], under[2 * DETECTIONS]) == (1.0, 0.0)


def test_ignored_boxes_count_for_nothing() -> None:
    marked = boxes((0, 0, 10, 10, 1, 0), (20, 0, 60, 40, 1, 1))
    found = boxes((21, 1, 30, 9, 1, 0.9), (31, 1, 40, 9, 1, 0.8), (0, 0, 10, 10, 1, 0.1))
    row = row_of(found, marked, 1)
    assert row[2 * DETECTIONS : 2 * DETECTIONS + 3].tolist() == [-1.0, -1.0, 1.0]
    assert row[3 * DETECTIONS] == 1
    assert mean_average_precision(row[None]) == pytest.approx(1.0)


def test_no_detections_and_no_boxes() -> None:
    nothing = boxes()
    assert mean_average_precision(row_of(nothing, MARKED, 1)[None]) == 0.0
    assert mean_average_precision(row_of(nothing, nothing, 3)[None]) == 0.0
    wrong = row_of(boxes((0, 0, 1, 1, 1, 0.5)), nothing, 1)
    both = np.stack([wrong, row_of(boxes((0, 0, 10, 10, 1, 0.9)), MARKED, 1)])
    assert mean_average_precision(both) == pytest.approx(51 / 101)


def test_padding_is_no_detection() -> None:
    padded = boxes((0, 0, 10, 10, 1, 0.9), (0, 0, 0, 0, 0, 0))
    alone = boxes((0, 0, 10, 10, 1, 0.9))
    np.testing.assert_array_equal(row_of(padded, MARKED, 1), row_of(alone, MARKED, 1))


def test_labels_and_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="a detection has a label outside 1 to 2: 3 to 3"):
        row_of(boxes((0, 0, 1, 1, 3, 0.5)), MARKED, 2)
    with pytest.raises(ConfigError, match="a detection has a label outside 1 to 2: 0 to 0"):
        row_of(boxes((0, 0, 1, 1, 0, 0.5)), MARKED, 2)
    with pytest.raises(ConfigError, match="101 detections in one picture; 100"):
        row_of(boxes(*[(0, 0, 1, 1, 1, 0.5)] * 101), MARKED, 2)


Picture = tuple[Boxes, Boxes]


def scenes(seed: int, count: int, classes: int, *, steps: int) -> list[Picture]:
    """Return random boxes, some ignored, and detections near them; `steps` makes scores tie."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        marked = np.zeros((rng.integers(0, 12), 6))
        marked[:, :2] = rng.integers(0, 80, (len(marked), 2))
        marked[:, 2:4] = marked[:, :2] + rng.integers(5, 40, (len(marked), 2))
        marked[:, 4] = rng.integers(1, classes + 1, len(marked))
        marked[:, 5] = rng.random(len(marked)) < 0.1
        near = marked.repeat(rng.integers(0, 4, len(marked)), axis=0)
        near[:, :4] += rng.normal(0, 3, (len(near), 4))
        near[:, 2:4] = np.maximum(near[:, 2:4], near[:, :2] + 1)  # COCO leaves out inverted boxes
        wild = np.zeros((rng.integers(0, 8), 6))
        wild[:, :2] = rng.integers(0, 80, (len(wild), 2))
        wild[:, 2:4] = wild[:, :2] + rng.integers(5, 40, (len(wild), 2))
        wild[:, 4] = rng.integers(1, classes + 1, len(wild))
        detected = np.concatenate([near, wild])[:DETECTIONS]
        detected[:, 5] = rng.integers(1, steps + 1, len(detected)) / steps
        found.append((boxes(*map(tuple, detected)), boxes(*map(tuple, marked))))
    return found


def by_coco(pictures: list[Picture], classes: int) -> float:
    """Return AP at an overlap of 0.5 as pycocotools has it."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    marks, answers = [], []
    for image, (detected, marked) in enumerate(pictures):
        for target, entries in ((answers, detected), (marks, marked)):
            for box, label, value in zip(*entries, strict=True):
                left, top, right, bottom = (float(side) for side in box)
                width, height = right - left, bottom - top
                target.append(
                    {
                        "id": len(target) + 1,
                        "image_id": image,
                        "category_id": int(label),
                        "bbox": [left, top, width, height],
                        "area": width * height,
                        "iscrowd": int(value),
                        "score": float(value),
                    }
                )
    truth = coco.COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(len(pictures))],
        "categories": [{"id": label} for label in range(1, classes + 1)],
        "annotations": marks,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judged = evaluation.COCOeval(truth, truth.loadRes(answers), "bbox")
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [DETECTIONS]
        judged.params.iouThrs = np.array([0.5])
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"]
    return float(precision[precision > -1].mean())


@pytest.mark.parametrize(("seed", "steps"), [(0, 1000), (1, 1000), (2, 10), (3, 3), (4, 100)])
def test_it_is_what_coco_computes(seed: int, steps: int) -> None:
    pictures = scenes(seed, 30, 3, steps=steps)
    rows = np.stack([row_of(detected, marked, 3) for detected, marked in pictures])
    assert mean_average_precision(rows) == pytest.approx(by_coco(pictures, 3), abs=1e-6)


def test_any_choice_of_rows_is_what_coco_computes_of_these_pictures() -> None:
    pictures = scenes(5, 12, 4, steps=20)
    rows = np.stack([row_of(detected, marked, 4) for detected, marked in pictures])
    chosen = np.random.default_rng(0).integers(0, 12, 12)
    expected = by_coco([pictures[index] for index in chosen], 4)
    assert mean_average_precision(rows[chosen]) == pytest.approx(expected, abs=1e-6)
    assert 0 < expected < 1
