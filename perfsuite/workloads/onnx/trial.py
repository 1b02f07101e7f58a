"""A trial of an ONNX file with several batch sizes: whether a side of its inputs is the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.export.sides import BATCH

# Answers to the same sample differ more than this, relative to the largest, where they depend on
# the samples beside it. Types with few bits and ranges over a whole batch differ by a part of it.
_ALIKE = 0.05
_MESSAGE = 300  # characters of an engine's error


class Outcome(msgspec.Struct, frozen=True):
    """What came of it, and why.

    `batch`: any number of samples is answered, one by one. `one`: only a single one is. `unclear`:
    it runs with any length, and that does not count samples. `untried`: it does not run at all.
    `outputs` are the shapes of the answers, with `batch` for the side that follows the inputs'.
    """

    kind: Literal["batch", "one", "unclear", "untried"]
    why: str = ""
    outputs: tuple[tuple[int | str, ...], ...] = ()


def tried(path: Path, three: Inputs, axes: Mapping[str, int], *, named: bool) -> Outcome:
    """Return whether the sides `axes` of the inputs count samples; `three` is a call with three.

    ONNX Runtime is asked with two sizes: it must take both, and a side of an output must follow.
    Where the sides are not `named` for it, answers must not depend on the samples beside them.
    """
    session = _session(path)
    if isinstance(session, str):
        return Outcome("untried", session)
    two, one = (_rows(three, axes, rows) for rows in ([0, 2], [0]))
    fewer, more = _run(session, two), _run(session, three)
    errors = [one for one in (fewer, more) if isinstance(one, str)]
    error = f"of more it fails: {errors[0]}" if errors else ""
    if "alloc" in error:  # too little memory says nothing about the model
        return Outcome("untried", error)
    if not isinstance(fewer, str) and not isinstance(more, str):
        sides = followed(fewer, more)
        if any(side is not None for side in sides):
            if named or independent(fewer, more, sides):
                return Outcome("batch", "", _shapes(more, sides))
            return Outcome("unclear", "its answer to one entry depends on those beside it")
        error = "no side of an output grows with it"
        if not named:
            return Outcome("unclear", error)
        error += "; if it takes more all the same, say so with `batch` in a shape"
    alone = _run(session, one)
    if isinstance(alone, str):
        return Outcome("untried", alone)
    return Outcome("one", error, _shapes(alone, [None] * len(alone)))


def runs(path: Path, inputs: Inputs) -> bool:
    """Tell whether ONNX Runtime is there, and answers a call."""
    session = _session(path)
    return not isinstance(session, str) and not isinstance(_run(session, inputs), str)


def followed(two: Sequence[Any], three: Sequence[Any]) -> list[int | None]:
    """Return, for each output, the first side that is 2 in a call with two and 3 with three."""
    return [
        next(
            (
                axis
                for axis, lengths in enumerate(zip(np.shape(a), np.shape(b), strict=False))
                if lengths == (2, 3)
            ),
            None,
        )
        if _is_array(a) and _is_array(b) and a.ndim == b.ndim
        else None
        for a, b in zip(two, three, strict=True)
    ]


def independent(two: Sequence[Any], three: Sequence[Any], sides: Sequence[int | None]) -> bool:
    """Tell whether the first and the last sample, which both calls have, have the same answers."""
    return all(
        _alike(a.take(place, side), b.take(place, side))
        for a, b, side in zip(two, three, sides, strict=True)
        if side is not None
        for place in (0, -1)
    )


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return True  # the place of a maximum may differ by chance
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.any():
        return True
    scale = float(np.abs(b[finite]).max()) or 1.0
    return float(np.abs(a - b)[finite].max()) <= _ALIKE * scale


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _rows(inputs: Inputs, axes: Mapping[str, int], rows: list[int]) -> Inputs:
    return {
        name: np.ascontiguousarray(array.take(rows, axes[name])) if name in axes else array
        for name, array in inputs.items()
    }


def _shapes(
    outputs: Sequence[Any], sides: Sequence[int | None]
) -> tuple[tuple[int | str, ...], ...]:
    return tuple(
        tuple(BATCH if axis == side else length for axis, length in enumerate(np.shape(output)))
        if _is_array(output)
        else ()
        for output, side in zip(outputs, sides, strict=True)
    )


def _session(path: Path) -> Any:
    """Return a session, or the engine's error."""
    try:
        import onnxruntime as ort
    except ImportError:
        return "ONNX Runtime is not installed"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  (the engine's errors have no common class)
        return _first_line(error)


def _run(session: Any, inputs: Inputs) -> list[Any] | str:
    try:
        return list(session.run(None, inputs))
    except Exception as error:  # noqa: BLE001  (the engine's errors have no common class)
        return _first_line(error)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:_MESSAGE] if lines else type(error).__name__
