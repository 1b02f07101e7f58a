"""Whether an exported graph gives the same outputs as the model that it came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfsuite.domain.task import Outputs
from perfsuite.errors import BuildError, ConfigError, ParityError
from perfsuite.plugins import suggestion

TOLERANCES = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 1e-2, "bf16": 3e-2}


def parity(
    reference: Outputs, actual: Outputs, names: Sequence[str], precision: str
) -> dict[str, float]:
    """Return max|a-b| / max|b| for each output, where b is the reference.

    If b is all zero, it is max|a|. In outputs of two dimensions and more than one column, each row
    must have its largest entry in the same column (top-1) if that leads the second largest by more
    than the tolerance times max|b|. Raises `ParityError` if the numbers of outputs differ, and for
    the first output that differs in shape, finiteness, value or top-1.
    """
    if precision not in TOLERANCES:
        raise ConfigError(f"precision '{precision}' has no tolerance{_known(precision)}")
    if not len(reference) == len(actual) == len(names):
        raise ParityError(
            f"the model gives {len(reference)} outputs, the export {len(actual)}, "
            f"named {', '.join(names)}"
        )
    return {
        name: _one(name, expected, got, TOLERANCES[precision])
        for name, expected, got in zip(names, reference, actual, strict=True)
    }


def check_finite(outputs: Outputs, names: Sequence[str]) -> None:
    """Raise `BuildError` naming the first output with a NaN or an infinity."""
    for name, output in zip(names, outputs, strict=True):
        if np.issubdtype(output.dtype, np.floating) and not np.isfinite(output).all():
            raise BuildError(f"output '{name}': {_not_finite(output)} of {output.size} values")


def _one(name: str, reference: np.ndarray, actual: np.ndarray, tolerance: float) -> float:
    if reference.shape != actual.shape:
        raise ParityError(
            f"output '{name}': shape {actual.shape}, the model gives {reference.shape}"
        )
    if reference.size == 0:
        return 0.0
    b, a = reference.astype(np.float64), actual.astype(np.float64)
    for values, whose in ((b, "the model"), (a, "the export")):
        if not np.isfinite(values).all():
            raise ParityError(
                f"output '{name}': {whose} gives {_not_finite(values)} of {values.size} values"
            )
    scale = float(np.abs(b).max()) or 1.0
    difference = float(np.abs(a - b).max()) / scale
    if difference > tolerance:
        raise ParityError(
            f"output '{name}' differs: max|a-b|/max|b| = {difference:.3g}, "
            f"the tolerance is {tolerance:g}"
        )
    if b.ndim == 2 and b.shape[1] > 1:
        _same_top1(name, b, a, tolerance * scale)
    return difference


def _same_top1(name: str, b: np.ndarray, a: np.ndarray, margin: float) -> None:
    second, first = np.partition(b, -2, axis=1)[:, -2:].T
    wrong = np.flatnonzero((first - second > margin) & (b.argmax(1) != a.argmax(1)))
    if wrong.size:
        row = int(wrong[0])
        raise ParityError(
            f"output '{name}': row {row} has its largest entry at {a[row].argmax()}, "
            f"the model at {b[row].argmax()}, which leads by {first[row] - second[row]:.3g}"
        )


def _not_finite(values: np.ndarray) -> str:
    return f"{int(np.isnan(values).sum())} NaN and {int(np.isinf(values).sum())} infinite"


def _known(precision: str) -> str:
    return suggestion(precision, TOLERANCES)
