"""Weights that are computed of others, by torch's parametrizations, as a graph shall hold them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def computed_weights(module: nn.Module) -> Iterator[None]:
    """Compute the parametrized weights of `module` once, before whoever traces it reads them.

    They are constants of the graph then, and what computes them need not be written in ONNX, which
    has no exponential of a matrix and no product of reflections.
    """
    from torch.nn.utils import parametrize

    found = [part for part in module.modules() if parametrize.is_parametrized(part)]
    if not found:
        yield
        return
    with parametrize.cached():
        for part in found:
            for name in part.parametrizations:  # type: ignore[union-attr]
                getattr(part, name)
        yield
