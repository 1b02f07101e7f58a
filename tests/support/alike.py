"""Results that may come from two kernels: equal but for how they add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Another memory layout, batch or number of threads may take another kernel, which adds up in
# another order: about 1e-7 of the values. What a test is to find, such as a channel that was taken
# for another, changes them by more than a thousandth.
RTOL, ATOL = 1e-4, 1e-5


def assert_alike(one: Any, other: Any) -> None:
    """Raise unless two tensors or arrays, or two mappings of such, hold the same numbers."""
    if isinstance(one, Mapping):
        assert one.keys() == other.keys()
        for name in one:
            assert_alike(one[name], other[name])
        return
    one, other = (
        np.asarray(value.detach() if hasattr(value, "detach") else value) for value in (one, other)
    )
    assert one.shape == other.shape and one.dtype == other.dtype
    np.testing.assert_allclose(one, other, rtol=RTOL, atol=ATOL)
