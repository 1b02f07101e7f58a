"""A meter: what samples something, such as energy, beside a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from perfsuite.domain.metrics import Metric

# What a measuring process does while a meter samples: it loads the engine and opens the artifact,
# or it makes the timed calls. Between the two it warms up.
Phase = Literal["load", "calls"]


class Meter(Protocol):
    """Samples beside a measurement, in the process that measures; a class made without arguments.

    `metrics` defines what it gives. Where the machine does not tell, any of its methods raises
    `Unavailable`, its making too: its metrics then have no value, and a label says why. What is
    started and not stopped, because a call failed, ends with the process.
    """

    metrics: ClassVar[tuple[Metric, ...]]

    def start(self, phase: Phase, device: str) -> None:
        """Begin to sample; `device` is the cell's, such as `cpu`. Nothing is timed meanwhile."""
        ...

    def stop(self, phase: Phase, calls: int) -> Mapping[str, float]:
        """Return what was sampled since `start`, by metric, in the metrics' own units.

        `calls` were timed meanwhile, none while loading. What has another phase is left out: over
        both, each metric is given once.
        """
        ...
