"""A meter samples something, such as energy, beside a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Protocol

from perfsuite.domain.metrics import Metric

# The phase of a measuring process in which a meter samples: "load", while the engine is loaded and
# the artifact opened, or "calls", while calls are timed. Between the two it warms up. "window" is
# for meters that have `window_s`: calls that nobody times, one after the other for so long.
Phase = Literal["load", "calls", "window"]


class Meter(Protocol):
    """Samples beside a measurement, in the measuring process; a class made without arguments.

    `metrics` are those that it measures. If the machine does not provide them, its constructor or
    any method raises `Unavailable`: the metrics then have no value, and a label says why. If a call
    fails, a meter that was started is not stopped; the process ends.

    Calls may be timed in turns with other processes. A meter of the whole machine, such as one of
    energy, then has two methods more, `pause()` and `resume()`, and counts only what lies between a
    `resume` and the next `pause`. Both follow `start("calls", ...)`, the first of them a `pause`,
    and `stop` comes after a `pause`; where no turns are taken, neither is called.

    Two more attributes are optional. `window_s` is for what is too slow for the timed calls, such
    as a counter of energy that moves ten times a second: in the phase "window" calls go on for at
    least so many seconds, while no other process is measured. `labels` are words that the record
    shall bear, known once the meter was stopped for the last time.
    """

    metrics: ClassVar[tuple[Metric, ...]]

    def start(self, phase: Phase, device: str) -> None:
        """Begin to sample; `device` is the cell's, such as `cpu`. This call is not timed."""
        ...

    def stop(self, phase: Phase, calls: int) -> Mapping[str, float]:
        """Return the values sampled since `start`, by metric, in the metrics' units.

        `calls` is the number of calls since then, 0 while loading: of timed ones, and in turns also
        of those with which a process wakes up. Each metric is returned in one of the phases only.
        """
        ...
