"""Whole numbers that follow from floats may change with a rounding error of these.

A pixel of 127.5 is rounded to either side, and where two classes have nearly the same score either
is the largest.
"""

from __future__ import annotations

import numpy as np

# Of masks, classes and truth values so many may differ, in tolerances: scores are spread over
# their range, and so are the gaps between the two largest.
_JUMPS = 10.0


def at_edges(reference: np.ndarray, actual: np.ndarray, tolerance: float) -> float | None:
    """Return the share of whole numbers that differ, if edges explain it; else None.

    What was rounded may be off by the tolerance times the largest number. If these are steps, as
    the brightness of pixels, that takes numbers to the next one, and twice as many as it is long.
    Other numbers, as those of classes, differ by anything, and far fewer of them.
    """
    if reference.dtype.kind not in "biu" or reference.shape != actual.shape or not reference.size:
        return None
    b, a = reference.astype(np.float64), actual.astype(np.float64)
    off, moved = np.abs(a - b), tolerance * float(np.abs(b).max())
    share = float(np.count_nonzero(off) / off.size)
    steps = float(off.max()) <= 1.0 + moved and share <= 2.0 * moved
    return share if steps or share <= _JUMPS * tolerance else None
