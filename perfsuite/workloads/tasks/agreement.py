"""How far a variant answers as the model that it was made from, where there are no labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfsuite.domain.task import Outputs
from perfsuite.workloads.tasks.average_precision import Boxes, partners


def agreement(expected: Outputs, answered: Outputs) -> float:
    """Return how far two answers to one call agree, from 0 to 1: the least over the outputs.

    Of floats it is the cosine of the two arrays, at least 0, without what is not finite in both
    alike. Of whole numbers it is the share of equal ones, and of masks, which have two axes or more
    of at least 8, the mean over classes of the intersection over the union. Of detections, which
    are boxes (n, 4) with n labels and n scores, it is the share that has a partner of the same
    label with an overlap of at least 0.5, whatever their number and order. Outputs of different
    shapes agree by 0.
    """
    if len(expected) != len(answered):
        return 0.0
    one, other = _detections(expected), _detections(answered)
    if one is not None and other is not None:
        return _matched(one, other)
    pairs = zip(map(np.asarray, expected), map(np.asarray, answered), strict=True)
    return min((_one(wanted, found) for wanted, found in pairs), default=1.0)


def cosine(expected: np.ndarray, answered: np.ndarray) -> float:
    """Return the cosine of two arrays of one shape, 1 where both are 0, at least 0.

    Infinities and NaN at the same places, as masked logits have them, are left out; any others give
    0.
    """
    one, other = expected.astype(np.float64).ravel(), answered.astype(np.float64).ravel()
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return 0.0
    one, other = one[finite], other[finite]
    if not np.isfinite(other).all():
        return 0.0
    # Scaled by the largest, so that no square is too large or too small for a float.
    largest, also = (float(np.abs(part).max(initial=0.0)) for part in (one, other))
    if not largest or not also:
        return float(largest == also)
    one, other = one / largest, other / also
    product = float(one @ other) / float(np.linalg.norm(one) * np.linalg.norm(other))
    return min(1.0, max(0.0, product))


def _one(expected: np.ndarray, answered: np.ndarray) -> float:
    if expected.shape != answered.shape:
        return 0.0
    if expected.dtype.kind == "f":
        return cosine(expected, answered)
    if not expected.size:
        return 1.0
    if sum(side >= 8 for side in expected.shape) >= 2:
        return mean_overlap(expected, answered)
    return float((expected == answered).mean())


def mean_overlap(expected: np.ndarray, answered: np.ndarray) -> float:
    """Return the mean over the classes in either mask of the intersection over the union."""
    classes = np.union1d(expected, answered)
    shares = [
        ((expected == one) & (answered == one)).sum()
        / ((expected == one) | (answered == one)).sum()
        for one in classes
    ]
    return float(np.mean(shares))


def _detections(outputs: Sequence[np.ndarray]) -> Boxes | None:
    """Return outputs that are boxes (n, 4), integer labels (n,) and scores (n,), in any order."""
    found = [np.asarray(output) for output in outputs]
    boxes = [one for one in found if one.ndim == 2 and one.shape[1] == 4 and one.dtype.kind == "f"]
    labels = [one for one in found if one.ndim == 1 and one.dtype.kind in "iu"]
    scores = [one for one in found if one.ndim == 1 and one.dtype.kind == "f"]
    if not len(boxes) == len(labels) == len(scores) == 1:
        return None
    if not len(boxes[0]) == len(labels[0]) == len(scores[0]):
        return None
    return Boxes(boxes[0], labels[0], scores[0])


def _matched(one: Boxes, other: Boxes) -> float:
    count = len(one.labels) + len(other.labels)
    if not count:
        return 1.0
    return 2 * len(partners(one, other)) / count
