"""The shapes that a suite or an option gives to the inputs of an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfsuite.config.conversion import Location
from perfsuite.errors import ConfigError

WORDS = ("batch", "?")  # the side that counts samples; a side whose length follows from samples
_SIDES = f"a number from 1, '{WORDS[0]}' or '{WORDS[1]}'"


def shapes_of(given: object, location: Location) -> dict[str, tuple[int | str, ...]]:
    """Return the sides of inputs by name, from `{ x = ["batch", 3, 640, 640] }`.

    Raises `ConfigError`, beginning with `location`, for anything else.
    """
    if not isinstance(given, Mapping) or not given:
        raise location.error("a table of inputs was expected, such as { x = [1, 3, 640, 640] }")
    for name, sides in given.items():
        here = location.key(str(name))
        if isinstance(sides, str) or not isinstance(sides, Sequence):
            raise here.error("the sides of this input were expected, such as [1, 3, 640, 640]")
        for index, side in enumerate(sides):
            if not _is_side(side):
                raise here.item(index).error(f"{side!r} is no side: {_SIDES}")
    return {str(name): tuple(sides) for name, sides in given.items()}


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int | str, ...]]:
    """Return the sides of inputs by name, from `x=1x3x640x640`; raise `ConfigError` for others."""
    shapes: dict[str, tuple[int | str, ...]] = {}
    for text in texts:
        name, equals, sides = text.rpartition("=")
        words = sides.split("x") if sides else []
        found = tuple(int(one) if one.isascii() and one.isdigit() else one for one in words)
        if not name or not equals or not found or not all(map(_is_side, found)):
            raise ConfigError(
                f"--shape '{text}': an input and its sides were expected, such as "
                f"x=1x3x640x640; a side is {_SIDES}"
            )
        if name in shapes:
            raise ConfigError(f"--shape is given twice for '{name}'")
        shapes[name] = found
    return shapes


def _is_side(side: object) -> bool:
    if isinstance(side, int):
        return side >= 1 and not isinstance(side, bool)
    return side in WORDS
