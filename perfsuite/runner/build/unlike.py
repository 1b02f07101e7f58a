"""How much of an output has no equal in another answer, where a cosine says nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from perfsuite.runner.build.likeness import NOT_FLOAT

_NUMBERS = "biuf"  # NumPy's kinds of types
_NEAR = 0.1  # of the Euclidean norm of a row: another within it is the same
_MOST = 2000  # rows of a call; each is compared with all others

Pair = tuple[np.ndarray, np.ndarray]  # the expected answer and another one


class Share(NamedTuple):
    """The share of so many values or rows (`what`) that differs; 0 where there are none."""

    value: float
    among: int
    what: str


def unlike(pairs: Sequence[Pair], reason: str) -> Share:
    """Return the share of an output that differs, over the calls in `pairs`.

    Whole numbers and texts of one shape are compared place by place. Other numbers are rows in any
    number and order, of which rows of zeros, which fill up, count as none: two of floats are the
    same if they differ by at most a tenth, others if they are equal. Rows are those of the last
    axis, or of the first if that has other lengths: all key points of a person are one. Of texts in
    any number nothing is told.
    """
    if reason == NOT_FLOAT and all(b.shape == a.shape for b, a in pairs):
        count = sum(b.size for b, _ in pairs)
        wrong = sum(int((b != a).sum()) for b, a in pairs)
        return Share(wrong / count if count else 0.0, count, "values")
    total = alone = 0
    whole = any(b.ndim and a.ndim and len(b) != len(a) for b, a in pairs)
    for pair in pairs:
        if any(part.dtype.kind not in _NUMBERS for part in pair):
            continue
        one, other = (_rows(part, whole) for part in pair)
        near = _NEAR if pair[0].dtype.kind == "f" else 0.0
        total += len(one) + len(other)
        alone += len(one) + len(other) - 2 * _partners(one, other, near)
    return Share(alone / total if total else 0.0, (total + 1) // 2, "rows")


def _rows(array: np.ndarray, whole: bool) -> np.ndarray:
    """Return the rows (n, values) that are not all zero; of a vector each value is one.

    They are of the last axis, or all that is in one place of the first, if `whole`.
    """
    sides = (prod(array.shape[1:]) if whole else array.shape[-1]) if array.ndim > 1 else 1
    rows = array.reshape(-1, sides or 1).astype(np.float64)
    rows[~np.isfinite(rows)] = 0.0
    kept: np.ndarray = rows[rows.any(axis=1)]
    return kept[:_MOST]


def _partners(one: np.ndarray, other: np.ndarray, near: float) -> int:
    """Return how many rows of one have a partner in the other, each the nearest that is left.

    It is at most `near` times the row's own length away.
    """
    if one.shape[1:] != other.shape[1:]:
        return 0
    left = np.ones(len(other), bool)
    found = 0
    for row in one:
        far = np.where(left, np.linalg.norm(other - row, axis=1), np.inf)
        if left.any() and far.min() <= near * np.linalg.norm(row):
            left[far.argmin()] = False
            found += 1
    return found
