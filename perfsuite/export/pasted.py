"""Masks that are pasted into the picture, as Mask R-CNN's are, may lie a pixel further.

Their boxes' corners are rounded to whole pixels first. A corner next to the edge of a pixel is
rounded to either side after a rounding error, and its mask is then moved or stretched by a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfsuite.domain.task import Outputs

_CORNERS = 4  # numbers of a box
_LEAST = 3  # pixels of a side, of which the middle one has all its neighbours
# Of the pixels in masks, so many may differ by more than a move makes of them: stretched from one
# pixel to two, a mask is sampled at other places altogether.
_SHARE = 0.01


def in_same_place(
    reference: Outputs, actual: Outputs, tolerance: float, floors: Sequence[float] = ()
) -> Outputs | None:
    """Return `actual`, its masks where the reference has them; None for outputs without masks.

    Masks are (n, height, width) or (n, 1, height, width), numbers or truth values, beside boxes
    (n, 4). A pixel that differs takes the reference's value if its own lies within those that the
    reference has there and next to it. Of pixels in masks, a hundredth may differ otherwise. Values
    are equal within the tolerance times the largest, or within the masks' place in `floors`, the
    differences that mean nothing.
    """
    places = _masks(reference, actual)
    if not places:
        return None
    found = list(actual)
    for place in places:
        wanted, masks = (one[place].astype(np.float64) for one in (reference, actual))
        slack = max(tolerance * float(np.abs(wanted).max()), *floors[place : place + 1], 0.0)
        found[place] = _moved(wanted, masks, slack)
    return found


def _masks(reference: Outputs, actual: Outputs) -> list[int]:
    """Return which outputs are masks of as many boxes, of one shape in both."""
    rows = {len(one) for one in reference if one.ndim == 2 and one.shape[1] == _CORNERS}
    return [
        place
        for place, (one, other) in enumerate(zip(reference, actual, strict=True))
        if one.shape == other.shape and one.size and len(one) in rows and _is_mask(one)
    ]


def _is_mask(one: np.ndarray) -> bool:
    single = one.ndim == 3 or (one.ndim == 4 and one.shape[1] == 1)
    return single and min(one.shape[-2:]) >= _LEAST and one.dtype.kind in "bf"


def _moved(wanted: np.ndarray, masks: np.ndarray, slack: float) -> np.ndarray:
    """Return the masks, with the wanted values where they are those, moved by a pixel."""
    off = np.abs(masks - wanted) > slack
    rows = np.flatnonzero(off.reshape(len(off), -1).any(axis=1))
    explained = np.zeros_like(off)
    for row in rows:  # one at a time: a picture has up to 100 masks of its own size
        low, high = _around(wanted[row])
        explained[row] = (masks[row] >= low - slack) & (masks[row] <= high + slack)
    inside = np.count_nonzero((wanted != 0) | (masks != 0))
    if np.count_nonzero(off & ~explained) <= _SHARE * inside:
        explained = off
    moved: np.ndarray = np.where(off & explained, wanted, masks)
    return moved


def _around(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest value of each pixel and its neighbours."""
    sides = [(0, 0)] * (mask.ndim - 2) + [(1, 1), (1, 1)]
    padded = np.pad(mask, sides, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(-2, -1))
    return near.min(axis=(-2, -1)), near.max(axis=(-2, -1))
