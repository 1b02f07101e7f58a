"""Whether a model tells inputs apart: if not, comparing its answers proves nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.export.parity import TOLERANCES, largest_difference


def answers_alike(inputs: Sequence[Inputs], expected: Sequence[Outputs]) -> bool:
    """Tell whether parity would not tell a model's answers to different inputs apart.

    As where its head has weights of zero: whatever an engine or a pass makes of the rest of it, the
    answers are the same. Whole numbers are left out, which are often the same by chance.
    """
    first, *others = (_floats(one) for one in expected)
    differ = [_are_different(inputs[0], one) for one in inputs[1:]]
    found = [
        len(first) == len(other) and all(map(_are_alike, first, other))
        for other, asked in zip(others, differ, strict=True)
        if asked
    ]
    return bool(first and found) and all(found)


def _floats(answer: Outputs) -> Outputs:
    return [one for one in answer if np.issubdtype(one.dtype, np.floating)]


def _are_different(one: Inputs, other: Inputs) -> bool:
    return any(not np.array_equal(array, other[name]) for name, array in one.items())


def _are_alike(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    return largest_difference(one, other, one) <= TOLERANCES["fp32"]
