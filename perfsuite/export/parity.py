"""Whether an exported graph gives the same outputs as the model that it came from."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from perfsuite.domain.task import Outputs
from perfsuite.errors import BuildError, ConfigError, ParityError
from perfsuite.export.edges import at_edges
from perfsuite.plugins import suggestion

# The largest |a-b| / max|b|. That of int8, of root mean squares, is for graphs that round by
# themselves: engines that sum in another order, or fuse, round some values to the next step, and
# in deep nets that grows. Without trained weights MobileNetV2 reached 0.31 on OpenVINO, ResNet-18
# 0.05; answers that have nothing to do with each other differ by 1.4.
TOLERANCES = {"fp32": 1e-4, "tf32": 5e-3, "fp16": 1e-2, "bf16": 3e-2, "int8": 0.5}
_FEW = 4  # values, whose mean square may be next to nothing
_INT32 = 2.0**31  # integers below it fit into 32 bits
# What an answer of a type is rounded to, whatever it was computed in.
_ANSWERED_IN = {"float16": "fp16", "bfloat16": "bf16"}
# NumPy's kinds of types: texts, and what has no rounding (bool, integers, texts).
_TEXTS, _DISCRETE = "SUO", "biuSUO"


def parity(
    reference: Outputs,
    actual: Outputs,
    names: Sequence[str],
    precision: str,
    floors: Sequence[float] = (),
) -> dict[str, float]:
    """Return max|a-b| / max|b| for each output, where b is the reference.

    Of each output `floors` may have the largest difference in fp32 that means nothing (see
    `noise.py`): where b is smaller than what has that as its tolerance, that is divided by instead.
    If b is all zero, it is max|a|; of texts it is the share that differs. Infinities and NaN are
    equal to their like. In outputs of two dimensions and more than one column, each row must have
    its largest entry in the same column (top-1) if that leads the second largest by more than the
    tolerance times max|b|. An output in half precision has at least the tolerance of that. Of whole
    numbers, of which a few may lie behind an edge (see `edges.py`), it is the share that does.
    Raises `ParityError` if the numbers of outputs differ, and for the first output that differs in
    shape, finiteness, value or top-1.

    In int8, where a value near the edge of a step may be rounded to either side, it is the quotient
    of root mean squares, and there is no comparison of top-1. Integers, texts and shapes that
    follow from such values may differ: of these it is the share that differs.
    """
    if precision not in TOLERANCES:
        raise ConfigError(f"precision '{precision}' has no tolerance{_known(precision)}")
    if not len(reference) == len(actual) == len(names):
        raise ParityError(
            f"the model gives {len(reference)} outputs, the export {len(actual)}, "
            f"named {', '.join(names)}"
        )
    least = [floor / TOLERANCES["fp32"] for floor in floors or [0.0] * len(names)]
    return {
        name: _one(name, expected, got, precision, scale)
        for name, expected, got, scale in zip(names, reference, actual, least, strict=True)
    }


def looser(precision: str, own: Sequence[str]) -> str:
    """Return which has the largest tolerance: the precision asked for, or one of the graph's own.

    A graph that rounds every value is further from one that is computed in fp32 than what an engine
    keeps in that precision; so its own has the tolerance of the next lower one.
    """
    lower = {"fp16": "bf16"}
    return max((precision, *(lower.get(one, "int8") for one in own)), key=_tolerance)


def _tolerance(precision: str) -> float:
    return TOLERANCES.get(precision, 0.0)


def check_finite(outputs: Outputs, names: Sequence[str], but: Collection[str] = ()) -> None:
    """Raise `BuildError` naming the first output with a NaN or an infinity, but for some."""
    for name, output in zip(names, outputs, strict=True):
        if name not in but and (found := not_finite(output)):
            raise BuildError(f"output '{name}': {found}")


def check_numbers(outputs: Outputs, names: Sequence[str]) -> None:
    """Raise `BuildError` naming the first output with a NaN; an infinity may be meant."""
    for name, output in zip(names, outputs, strict=True):
        if has_nan(output):
            raise BuildError(f"output '{name}': {not_finite(output)}")


def largest_difference(one: np.ndarray, other: np.ndarray, whole: np.ndarray) -> float:
    """Return max|one-other| / max|whole|, in which equal infinities do not differ.

    Of texts it is the share that differs; it is NaN where either has a NaN.
    """
    if one.dtype.kind in _TEXTS:
        return float((one != other).mean()) if one.size else 0.0
    a, b, all_ = (array.astype(np.float64) for array in (one, other, whole))
    scale = float(np.abs(all_[np.isfinite(all_)]).max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):  # of equal infinities
        return float(np.where(a == b, 0.0, np.abs(a - b)).max(initial=0.0)) / scale


def has_nan(output: np.ndarray) -> bool:
    """Tell whether an output has a NaN."""
    return np.issubdtype(output.dtype, np.inexact) and bool(np.isnan(output).any())


def not_finite(output: np.ndarray) -> str:
    """Return how many values are NaN or infinite, in words; '' if all are finite."""
    if not np.issubdtype(output.dtype, np.inexact) or np.isfinite(output).all():
        return ""
    nan, infinite = int(np.isnan(output).sum()), int(np.isinf(output).sum())
    return f"{nan} NaN and {infinite} infinite of {output.size} values"


def _one(
    name: str, reference: np.ndarray, actual: np.ndarray, precision: str, least: float
) -> float:
    rounded = precision == "int8"
    if reference.shape != actual.shape:
        if rounded and reference.ndim == actual.ndim:
            return 1.0
        raise ParityError(
            f"output '{name}': shape {actual.shape}, the model gives {reference.shape}"
        )
    if reference.size == 0:
        return 0.0
    texts = reference.dtype.kind in _TEXTS or actual.dtype.kind in _TEXTS
    if texts or (rounded and reference.dtype.kind in _DISCRETE):
        return _discrete(name, reference, actual, rounded=rounded)
    b, a = reference.astype(np.float64), actual.astype(np.float64)
    _check_not_finite(name, b, a)
    if rounded:
        return _steps(name, b, a)
    precision = max(precision, _ANSWERED_IN.get(reference.dtype.name, precision), key=_tolerance)
    scale = max(float(np.abs(b[np.isfinite(b)]).max(initial=0.0)) or 1.0, least)
    with np.errstate(invalid="ignore"):  # of equal infinities
        off = np.where(np.isfinite(b), np.abs(a - b), 0.0)
    difference, tolerance = float(off.max()) / scale, TOLERANCES[precision]
    if difference > tolerance:
        share = at_edges(reference, actual, tolerance)
        if share is not None:
            return share
        raise ParityError(
            f"output '{name}' differs: max|a-b|/max|b| = {difference:.3g}, "
            f"the tolerance is {tolerance:g}{_narrow(reference)}"
        )
    if b.ndim == 2 and b.shape[1] > 1:
        _same_top1(name, b, a, tolerance * scale)
    return difference


def _steps(name: str, b: np.ndarray, a: np.ndarray) -> float:
    """Return rms(a-b) / rms(b) of the finite values; of few of them any may differ."""
    b, a = b[np.isfinite(b)], a[np.isfinite(b)]
    scale = float(np.sqrt(np.square(b).mean())) if b.size else 0.0
    difference = float(np.sqrt(np.square(a - b).mean())) / (scale or 1.0) if b.size else 0.0
    if difference > TOLERANCES["int8"] and b.size >= _FEW:
        raise ParityError(
            f"output '{name}' differs by more than rounding to 8 bits makes of it: "
            f"rms(a-b)/rms(b) = {difference:.3g}, the tolerance is {TOLERANCES['int8']:g}"
        )
    return difference


def _narrow(reference: np.ndarray) -> str:
    """Return why large integers may differ; '' for others."""
    if reference.dtype.kind not in "iu" or np.abs(reference.astype(np.float64)).max() < _INT32:
        return ""
    return "; some engines (openvino) compute integers in 32 bits"


def _check_not_finite(name: str, b: np.ndarray, a: np.ndarray) -> None:
    """Raise `ParityError` unless NaN and infinities are the same in both."""
    odd_b, odd_a = ~np.isfinite(b), ~np.isfinite(a)
    if np.array_equal(np.where(odd_b, b, 0.0), np.where(odd_a, a, 0.0), equal_nan=True):
        return
    sides = (("the model", not_finite(b)), ("the export", not_finite(a)))
    said = [f"{whose} gives {found}" for whose, found in sides if found]
    elsewhere = ", at other places" if len(said) == len(sides) else ""
    raise ParityError(f"output '{name}': {', '.join(said)}{elsewhere}")


def _discrete(name: str, reference: np.ndarray, actual: np.ndarray, *, rounded: bool) -> float:
    wrong = np.flatnonzero((reference != actual).ravel())
    if wrong.size and not rounded:
        first = int(wrong[0])
        raise ParityError(
            f"output '{name}': {wrong.size} of {reference.size} values differ, the first is "
            f"{actual.ravel()[first]!r}, the model gives {reference.ravel()[first]!r}"
        )
    return float(wrong.size / reference.size)


def _same_top1(name: str, b: np.ndarray, a: np.ndarray, margin: float) -> None:
    second, first = np.partition(b, -2, axis=1)[:, -2:].T
    with np.errstate(invalid="ignore"):  # of two infinities
        wrong = np.flatnonzero((first - second > margin) & (b.argmax(1) != a.argmax(1)))
    if wrong.size:
        row = int(wrong[0])
        raise ParityError(
            f"output '{name}': row {row} has its largest entry at {a[row].argmax()}, "
            f"the model at {b[row].argmax()}, which leads by {first[row] - second[row]:.3g}"
        )


def _known(precision: str) -> str:
    return suggestion(precision, TOLERANCES)
