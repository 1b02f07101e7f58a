"""Calls with bound buffers, timed by the device's clock and the host's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from perfsuite.domain.runtime import BoundTimes

MOST_BOUND = 10_000  # calls with bound buffers, so that the journal does not grow too large


class Event(Protocol):
    """A mark on the device's time line, as torch.cuda.Event is."""

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, end_event: Any) -> float:
        """Return milliseconds."""
        ...


def timed_by_events(
    calls_of: Sequence[Callable[[], object]],
    event: Callable[[], Event],
    calls: int,
    seconds: float,
    host_ns: Callable[[], int] = time.perf_counter_ns,
) -> BoundTimes:
    """Return the times of at least `calls` calls that take `seconds`, by the device and the host.

    Calls rotate over `calls_of`; each is waited for before the next, as a caller would.
    """
    begin, end = event(), event()
    device_s: list[float] = []
    host_s: list[float] = []
    spent_ns = 0
    while len(device_s) < calls or (spent_ns < seconds * 1e9 and len(device_s) < MOST_BOUND):
        call = calls_of[len(device_s) % len(calls_of)]
        start_ns = host_ns()
        begin.record()
        call()
        end.record()
        end.synchronize()
        stop_ns = host_ns()
        device_s.append(begin.elapsed_time(end) / 1e3)
        host_s.append((stop_ns - start_ns) / 1e9)
        spent_ns += stop_ns - start_ns
    return BoundTimes(tuple(device_s), tuple(host_s))
