"""A session whose calls take longer by a known share, to see whether that is found."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from perfsuite.domain.runtime import Session
from perfsuite.domain.task import Inputs, Outputs

Run = Callable[[Inputs], Outputs]

_CALIBRATION = 501  # calls of nothing, which take less than a millisecond


class SlowedSession:
    """Runs an open session; each call takes 1 + `slowdown` times as long as the engine takes.

    After a call of d seconds the calling thread spins, as a kernel would that computes for longer,
    until d * (1 + slowdown) have passed, less what being called through here costs. Where the
    session has a clock of its own, which spinning does not move, that clock is put forward instead.
    """

    clock: Callable[[], int] | None

    def __init__(self, session: Session, slowdown: float) -> None:
        if slowdown < 0.0:
            raise ValueError(f"a call cannot be slowed down by {slowdown}: it would be faster")
        self._slowdown, self._run, self._its_clock = slowdown, session.run, session.clock
        self._added_ns = 0
        self.clock, self.run = None, _spinning(session.run, slowdown, _cost_ns())
        if session.clock is not None:
            self.clock, self.run = self._put_forward, self._shifting

    def _shifting(self, inputs: Inputs) -> Outputs:
        start = self._put_forward()
        outputs = self._run(inputs)
        self._added_ns += round((self._put_forward() - start) * self._slowdown)
        return outputs

    def _put_forward(self) -> int:
        return (self._its_clock or time.perf_counter_ns)() + self._added_ns


def _spinning(run: Run, slowdown: float, cost_ns: float) -> Run:
    """Return `run`, slowed down by spinning; being called through here costs `cost_ns`."""
    clock = time.perf_counter_ns

    def slowed(inputs: Inputs) -> Outputs:
        start = clock()
        outputs = run(inputs)
        stop = clock()
        end = stop + (stop - start) * slowdown - cost_ns
        while clock() < end:
            pass
        return outputs

    return slowed


def _cost_ns() -> float:
    """Return by how much a call takes longer through here, without the last look at the clock.

    That look ends the spinning. The rest is 0.2 us, or 1 % of a call of 20 us.
    """
    clock, looks = time.perf_counter_ns, []
    for _ in range(_CALIBRATION):
        start = clock()
        looks.append(clock() - start)

    def nothing(inputs: Inputs) -> Outputs:
        return []

    through = _typical_ns(_spinning(nothing, 0.0, 0.0)) - _typical_ns(nothing)
    return max(0.0, through - statistics.median(looks))


def _typical_ns(run: Run) -> float:
    clock, found = time.perf_counter_ns, []
    for _ in range(_CALIBRATION):
        start = clock()
        run({})
        found.append(clock() - start)
    return statistics.median(found)
