"""Detections with scores that are next to equal may come in any order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfsuite.domain.task import Outputs

_MOST = 5000  # rows; each is compared with all of its score


def in_same_order(
    reference: Outputs, actual: Outputs, tolerance: float, floors: Sequence[float] = ()
) -> Outputs | None:
    """Return `actual` with its rows in the order of the reference's; None for other outputs.

    The outputs must be of one set: all equally long, one of them scores in falling order. A row
    takes the place of the nearest row whose score is the same within the tolerance times the
    largest, or within the scores' place in `floors`, the differences that mean nothing, so that
    only ties change places.
    """
    scores = _scores(reference, actual)
    if scores is None:
        return None
    rows, others = (_rows(outputs, reference) for outputs in (reference, actual))
    wanted, found = (outputs[scores].astype(np.float64) for outputs in (reference, actual))
    allowed = max(tolerance * float(np.abs(wanted).max()), *floors[scores : scores + 1], 0.0)
    left = np.ones(len(found), bool)
    order = []
    for row, score in zip(rows, wanted, strict=True):
        near = np.flatnonzero(left & (np.abs(found - score) <= allowed))
        if not near.size:
            return None
        order.append(int(near[np.abs(others[near] - row).max(axis=1).argmin()]))
        left[order[-1]] = False
    return [one[order] for one in actual]


def _scores(reference: Outputs, actual: Outputs) -> int | None:
    """Return which output holds the scores of a set; None if there is none, or no set."""
    shapes = [(one.shape, other.shape) for one, other in zip(reference, actual, strict=True)]
    same = all(one == other and len(one) > 0 for one, other in shapes)
    lengths = {one[0] for one, _ in shapes if one}
    numbers = all(one.dtype.kind in "biuf" and np.isfinite(one).all() for one in reference + actual)
    if not same or not numbers or len(shapes) < 2 or len(lengths) != 1:
        return None
    if not 2 <= min(lengths) <= _MOST:
        return None
    floats = [n for n, one in enumerate(reference) if one.ndim == 1 and one.dtype.kind == "f"]
    # Labels may be floats that are all equal; what ranks the rows has the most values of all.
    place = max(floats, key=lambda n: len(np.unique(reference[n])), default=None)
    return place if place is not None and (np.diff(reference[place]) <= 0).all() else None


def _rows(outputs: Outputs, reference: Outputs) -> np.ndarray:
    """Return (rows, values), each output divided by the reference's largest."""
    parts = [
        one.reshape(len(one), -1).astype(np.float64) / (float(np.abs(other).max()) or 1.0)
        for one, other in zip(outputs, reference, strict=True)
    ]
    return np.concatenate(parts, axis=1)
