"""A model of OpenVINO and the bodies of control flow inside of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_BRANCHES = 2  # of an If: what is done where the condition holds, and where it does not


def models(model: Any) -> Iterator[Any]:
    """Yield `model`, and the bodies of its branches and loops, also those inside of others."""
    yield model
    for layer in model.get_ordered_ops():
        for body in _bodies(layer):
            yield from models(body)


def _bodies(layer: Any) -> list[Any]:
    kind = layer.get_type_name()
    if kind == "If":
        return [layer.get_function(place) for place in range(_BRANCHES)]
    return [layer.get_function()] if kind in ("Loop", "TensorIterator") else []
