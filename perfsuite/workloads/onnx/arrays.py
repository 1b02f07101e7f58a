"""Arrays held against the inputs of a model: shapes that fit, types that convert exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NUMBERS = "biuf"  # NumPy's kinds of types: bool, integers, floats


def written(shape: Sequence[int | str]) -> str:
    """Return a shape as text, names without quotes: `(batch, 3, 8, 8)`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def fits(shape: Sequence[int], sides: Sequence[int | str]) -> bool:
    """Tell whether an array of this shape has these sides; a name stands for any length."""
    return len(shape) == len(sides) and all(
        isinstance(side, str) or side == length for side, length in zip(sides, shape, strict=True)
    )


def converted(array: np.ndarray, dtype: str) -> np.ndarray | None:
    """Return the array in another type with the same values; None if that type has not all."""
    wanted = np.dtype(dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind not in NUMBERS or wanted.kind not in NUMBERS:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        other = array.astype(wanted)
        back = other.astype(array.dtype)
    floating = array.dtype.kind == "f"
    return other if np.array_equal(array, back, equal_nan=floating) else None
