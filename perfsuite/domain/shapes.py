"""The shapes of the inputs that were timed."""

from __future__ import annotations

from math import prod

Shape = tuple[int, ...]
# By input, in the model's order: the shapes that timed calls have, each once.
InputShapes = dict[str, tuple[Shape, ...]]

_SHOWN = 4  # inputs in one text


def shapes_text(shapes: InputShapes) -> str:
    """Return `x 1x3x640x640, scale 1x2`; of several shapes the smallest and the largest."""
    texts = [f"{name} {_text(found)}" for name, found in shapes.items()]
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _text(found: tuple[Shape, ...]) -> str:
    ordered = sorted(found, key=prod)
    if len(ordered) == 1:
        return _one(ordered[0])
    return f"{_one(ordered[0])} to {_one(ordered[-1])} ({len(ordered)} shapes)"


def _one(shape: Shape) -> str:
    return "x".join(map(str, shape)) if shape else "scalar"
