"""The optimization profiles of an engine: for which shapes of its inputs it is built.

The first profile is for the batch that is timed, in the shapes that calls are known to have; the
second is for every other batch, and for other sides within reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from perfsuite.domain.model import InputSpec
from perfsuite.domain.shapes import InputShapes

MOST_SAMPLES = 64  # in a call, unless more are asked for
_REACH = 4  # times the largest side that is known
_UNKNOWN = 1024  # the largest of a side of which nothing is known

Shape = tuple[int, ...]


class Range(NamedTuple):
    """The shapes that one input may have in a profile, and the one that it is made fast for."""

    least: Shape
    best: Shape
    most: Shape


Profile = dict[str, Range]


def profiles(inputs: Sequence[InputSpec], batch: int, known: InputShapes) -> tuple[Profile, ...]:
    """Return the profiles for inputs, none if all their shapes are constant.

    `known` are the shapes that calls have. A side that is open is a name; `batch` counts samples.
    """
    if not any(isinstance(side, str) for spec in inputs for side in spec.shape):
        return ()
    timed = {spec.name: _timed(spec, batch, known.get(spec.name, ())) for spec in inputs}
    every = {spec.name: _every(spec, batch, known.get(spec.name, ())) for spec in inputs}
    return (every,) if timed == every else (timed, every)


def _timed(spec: InputSpec, batch: int, known: Sequence[Shape]) -> Range:
    sides = [
        (batch,) * 3 if side == "batch" else _seen(side, [shape[index] for shape in known])
        for index, side in enumerate(spec.shape)
    ]
    return _range(sides)


def _seen(side: int | str, known: Sequence[int]) -> tuple[int, int, int]:
    if isinstance(side, int):
        return side, side, side
    if not known:
        return 1, 1, _UNKNOWN
    return min(known), max(known), max(known)


def _every(spec: InputSpec, batch: int, known: Sequence[Shape]) -> Range:
    sides = []
    for index, side in enumerate(spec.shape):
        least, best, most = _seen(side, [shape[index] for shape in known])
        if side == "batch":
            least, best, most = 1, batch, max(batch, MOST_SAMPLES)
        elif isinstance(side, str):  # the first may count regions, of which there may be none
            least, most = 0 if index == 0 else 1, max(_REACH * most, _UNKNOWN)
        sides.append((least, best, most))
    return _range(sides)


def _range(sides: Sequence[tuple[int, int, int]]) -> Range:
    least, best, most = zip(*sides, strict=True) if sides else ((), (), ())
    return Range(tuple(least), tuple(best), tuple(most))


def fitting(profiles: Sequence[Profile], shapes: dict[str, Shape]) -> int | None:
    """Return the number of the first profile that has all `shapes`; None if none has."""
    for index, profile in enumerate(profiles):
        if all(_within(shapes[name], allowed) for name, allowed in profile.items()):
            return index
    return None


def _within(shape: Shape, allowed: Range) -> bool:
    return len(shape) == len(allowed.least) and all(
        low <= side <= high
        for low, side, high in zip(allowed.least, shape, allowed.most, strict=True)
    )
