"""How far a model's answers are no more than its own rounding errors.

Where large values cancel, as in x minus its mean, what is left may be rounding errors alone, of
which no two engines have the same: an answer of 1e-7 then differs by all of itself. That is not
told by the answer's size, as a net with small weights gives such answers exactly. A deep net
without trained weights may let rounding errors grow from layer to layer, until large answers differ
by more than a ten-thousandth. Both are told by the model itself: whoever changes its inputs by a
rounding error gets other rounding errors (Parker 1997, "Monte Carlo arithmetic").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.export.parity import TOLERANCES

CALLS = 4  # with inputs that are changed so
# Of several calls the largest error is seen, and those of another engine may be larger: it sums in
# another order, or in more steps.
FACTOR = 8.0
# No answer is taken for rounding errors if it exceeds this part of the inputs, or of 1, about which
# nets keep what they compute: rounding errors in fp32 are 6e-8 of a value and add up in sums.
LARGEST = 1e-5
# Of a large answer's own size, so much may be rounding errors that have grown. A fault grows as
# they do, and stays above them, unless both reach the answer's own size: far below that this is.
# With random weights, engines differ from each other by 1.2e-4 in a ResNet-50, each of them by
# 0.8e-4 from double precision; in an EfficientNetV2-S all, PyTorch too, by up to 1.6e-2.
GROWN = 1000 * TOLERANCES["fp32"]


def noise_floors(
    model: Callable[[Inputs], Outputs], inputs: Inputs, expected: Outputs
) -> list[float]:
    """Return, for each of the `expected` answers to `inputs`, the differences that mean nothing.

    They are 0 where the answers follow from the inputs exactly, where the inputs are integers, and
    where the model does not run on what was changed.
    """
    small = LARGEST * max([1.0, *map(_largest, inputs.values())])
    seen = [0.0] * len(expected)
    for seed in range(CALLS):
        try:
            answers = model(nudged(inputs, seed))
        except Exception:  # noqa: BLE001  (whatever a model raises, it tells nothing)
            return [0.0] * len(expected)
        if len(answers) != len(expected):
            return [0.0] * len(expected)
        for place, (one, other) in enumerate(zip(expected, answers, strict=True)):
            seen[place] = max(seen[place], _difference(one, other))
    caps = [max(small, GROWN * _largest(one)) for one in expected]
    return [min(FACTOR * error, cap) for error, cap in zip(seen, caps, strict=True)]


def rounding_decides(
    model: Callable[[Inputs], Outputs],
    inputs: Sequence[Inputs],
    compare: Callable[[Sequence[Outputs]], object],
) -> bool:
    """Tell whether a model's own answers differ where its inputs change by a rounding error.

    So do those of a detector that keeps the best hundred boxes, of which two have next to the same
    score. `compare` raises `ParityError` for answers to `inputs` that differ; nothing is told where
    the model does not run on what was changed.
    """
    try:
        for seed in range(CALLS):
            compare([model(nudged(one, seed)) for one in inputs])
    except ParityError:
        return True
    except (BuildError, Unsupported):
        return False
    return False


def nudged(inputs: Inputs, seed: int) -> Inputs:
    """Return inputs in which each float is the next larger one, or the next smaller."""
    rng = np.random.default_rng(seed)
    changed = {}
    for name, array in inputs.items():
        if np.issubdtype(array.dtype, np.floating):
            towards = np.where(rng.random(array.shape) < 0.5, -np.inf, np.inf)
            moved = np.nextafter(array, towards.astype(array.dtype))
            # Zeros stay: masks and padding are such, and the next number is no rounding error.
            array = np.where((array == 0) | ~np.isfinite(array), array, moved)
        changed[name] = array
    return changed


def _largest(array: Any) -> float:
    if not (isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.floating)):
        return 0.0
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _difference(one: Any, other: Any) -> float:
    """Return the largest difference of two answers; 0 for those that have none in numbers."""
    if not (isinstance(one, np.ndarray) and np.issubdtype(one.dtype, np.floating)):
        return 0.0
    if not isinstance(other, np.ndarray) or one.shape != other.shape:
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0))
