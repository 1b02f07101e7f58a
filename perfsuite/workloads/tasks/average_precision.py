"""Mean average precision of a detector at one overlap, from one row for each picture.

Which detections are right depends on one picture only and is stored in its row; the precision over
pictures is computed from any choice of rows, so that intervals can resample them. The rules are
COCO's (Lin et al. 2014, arXiv:1405.0312; cocodataset.org/#detection-eval): greedy matching by
score, a 101-point interpolated precision, and classes without a box left out of the mean.

A row holds `DETECTIONS` scores, as many labels, as many verdicts, and the number of marked boxes of
each class.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perfsuite.errors import ConfigError

DETECTIONS = 100  # of a picture, at most, as in COCO's evaluation
OVERLAP = 0.5
RIGHT, WRONG, NOTHING = 1.0, 0.0, -1.0  # verdicts; NOTHING: not counted, or no detection
_RECALLS = np.linspace(0.0, 1.0, 101)


class Boxes(NamedTuple):
    """Boxes (n, 4) as left, top, right, bottom, and their labels (n,), from 1.

    `values` (n,) are the scores of detections; of marked boxes they are 1 for those to ignore.
    """

    boxes: np.ndarray
    labels: np.ndarray
    values: np.ndarray


def overlaps(detected: np.ndarray, marked: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Return the intersection over union, (detected, marked).

    For ignored marked boxes, it is the intersection over the detection's area, as several
    detections may lie in one crowd.
    """
    one, other = detected[:, None].astype(np.float64), marked[None].astype(np.float64)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = np.clip(sides, 0, None).prod(-1)
    own, its = (np.clip(box[..., 2:] - box[..., :2], 0, None).prod(-1) for box in (one, other))
    whole = np.where(ignored, own, own + its - common)
    shares: np.ndarray = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return shares


def partners(one: Boxes, other: Boxes, least: float = OVERLAP) -> list[tuple[int, int]]:
    """Return the pairs of boxes with one label that overlap by `least`, the best ones first.

    Each box has one partner at most.
    """
    shares = overlaps(one.boxes, other.boxes, np.zeros(len(other.labels), bool))
    shares = np.where(one.labels[:, None] == other.labels, shares, 0.0)
    found: list[tuple[int, int]] = []
    for _ in range(min(shares.shape)):
        first, second = np.unravel_index(shares.argmax(), shares.shape)
        if shares[first, second] < least:
            break
        found.append((int(first), int(second)))
        shares[first], shares[:, second] = -1.0, -1.0
    return found


def row_of(detected: Boxes, marked: Boxes, classes: int) -> np.ndarray:
    """Return the row of one picture, float64 (3 * DETECTIONS + classes,).

    Detections with a score of 0 are padding. Raises `ConfigError` for more detections than
    `DETECTIONS`, and for labels that are no class.
    """
    present = np.flatnonzero(detected.values > 0)
    order = present[np.argsort(-detected.values[present], kind="stable")]
    if len(order) > DETECTIONS:
        raise ConfigError(
            f"{len(order)} detections in one picture; {DETECTIONS} are evaluated at most: set the "
            f"detector's limit to it"
        )
    for labels, whose in ((detected.labels[order], "a detection"), (marked.labels, "a box")):
        if len(labels) and not 1 <= labels.min() <= labels.max() <= classes:
            raise ConfigError(
                f"{whose} has a label outside 1 to {classes}: {labels.min()} to {labels.max()}; "
                f"0 is the background, and the first class is 1"
            )
    found = Boxes(*(array[order] for array in detected))
    row = np.zeros(3 * DETECTIONS + classes)
    scores, labels, verdicts = row[: 3 * DETECTIONS].reshape(3, DETECTIONS)
    count = len(order)
    scores[:count], labels[:count] = found.values, found.labels
    verdicts[:count], verdicts[count:] = _verdicts(found, marked), NOTHING
    for label in range(1, classes + 1):
        row[3 * DETECTIONS + label - 1] = np.sum((marked.labels == label) & (marked.values == 0))
    return row


def _verdicts(found: Boxes, marked: Boxes) -> np.ndarray:
    """Return a verdict for each detection; their scores must be falling."""
    verdicts = np.full(len(found.labels), WRONG)
    ignored = marked.values != 0
    shares = overlaps(found.boxes, marked.boxes, ignored)
    free = np.ones(len(marked.labels), bool)
    for index, label in enumerate(found.labels):
        can = (marked.labels == label) & (shares[index] >= OVERLAP)
        for candidates, verdict in ((can & ~ignored & free, RIGHT), (can & ignored, NOTHING)):
            if candidates.any():
                # Of equal overlaps, COCO's rule uses the last.
                best = np.flatnonzero(candidates)[::-1]
                free[best[shares[index, best].argmax()]] = False
                verdicts[index] = verdict
                break
    return verdicts


def mean_average_precision(rows: np.ndarray) -> float:
    """Return the mean over classes of the average precision; 0 without marked boxes."""
    detections = rows[:, : 3 * DETECTIONS].reshape(len(rows), 3, DETECTIONS)
    scores, labels, verdicts = (detections[:, place].ravel() for place in range(3))
    counts = rows[:, 3 * DETECTIONS :].sum(axis=0)
    used = np.flatnonzero(verdicts != NOTHING)
    order = used[np.argsort(-scores[used], kind="stable")]
    labels, right = labels[order], verdicts[order] == RIGHT
    precisions = [
        _average_precision(right[labels == index + 1], count)
        for index, count in enumerate(counts)
        if count
    ]
    return float(np.mean(precisions)) if precisions else 0.0


def _average_precision(right: np.ndarray, count: float) -> float:
    """Return the interpolated precision, averaged over recalls, of `right` by falling score."""
    if not right.size:
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / count, _RECALLS, side="left")
    return float(np.append(best_from_here, 0.0)[places].mean())
