"""The interval of a look at log ratios, as records with a plan of looks get it."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.looks import Looks
from perfsuite.domain.verdict import Interval
from perfsuite.judge.intervals import mean_interval
from perfsuite.judge.sequential import look_confidence


def sequential_interval(log_values: Sequence[float], looks: Looks) -> Interval | None:
    """Return the geometric mean with the interval of the look at so many log ratios."""
    return mean_interval(log_values, look_confidence(looks, len(log_values)))
