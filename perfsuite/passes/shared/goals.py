"""The goal of a pass: a share of something to keep or to remove, or a speed-up."""

from __future__ import annotations

import math


def check_target(*, speedup: float | None, **shares: float | None) -> None:
    """Raise `ValueError` unless exactly one goal is given.

    A share must lie between 0 and 1, a speed-up above 1.
    """
    given = [name for name, value in {**shares, "speedup": speedup}.items() if value is not None]
    if len(given) != 1:
        names, there = ", ".join(shares), " and ".join(given) or "none of them"
        raise ValueError(f"give exactly one of {names} and speedup; there is {there}")
    for name, share in shares.items():
        if share is not None and not 0.0 < share < 1.0:
            raise ValueError(f"{name} is {share}; it must be above 0 and below 1")
    if speedup is not None and not 1.0 < speedup < math.inf:
        raise ValueError(f"speedup is {speedup}; it must be above 1")
