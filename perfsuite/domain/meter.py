"""A meter samples something, such as energy, beside a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from perfsuite.domain.metrics import Metric

# The phase of a measuring process in which a meter samples: "load", while the engine is loaded and
# the artifact opened, or "calls", while calls are timed. Between the two it warms up.
Phase = Literal["load", "calls"]


class Meter(Protocol):
    """Samples beside a measurement, in the measuring process; a class made without arguments.

    `metrics` are those that it measures. If the machine does not provide them, its constructor or
    any method raises `Unavailable`: the metrics then have no value, and a label says why. If a call
    fails, a meter that was started is not stopped; the process ends.
    """

    metrics: ClassVar[tuple[Metric, ...]]

    def start(self, phase: Phase, device: str) -> None:
        """Begin to sample; `device` is the cell's, such as `cpu`. This call is not timed."""
        ...

    def stop(self, phase: Phase, calls: int) -> Mapping[str, float]:
        """Return the values sampled since `start`, by metric, in the metrics' units.

        `calls` is the number of timed calls since then, 0 while loading. Each metric is returned in
        one of the two phases only.
        """
        ...
