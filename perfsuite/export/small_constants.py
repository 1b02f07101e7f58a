"""Small numbers that an exported graph keeps.

The rules by which the dynamo exporter shortens graphs (onnxscript 0.7) take what is at most 1e-8
for zero: the 1e-8 that keeps a division or a root from zero is gone, and where a picture is black
the graph answers NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch


@contextmanager
def kept_small_constants() -> Iterator[None]:
    """Have constants of a graph equal those of a rule by their ratio alone, within the context."""
    from onnxscript.rewriter import _matcher

    def is_close(one: float, other: float, rel_tol: float, abs_tol: float) -> bool:
        return math.isclose(one, other, rel_tol=rel_tol)

    with patch.object(_matcher, "math", SimpleNamespace(isclose=is_close)):
        yield
