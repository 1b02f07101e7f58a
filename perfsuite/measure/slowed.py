"""A session whose calls take longer by a known share, to see whether that is found."""

from __future__ import annotations

import time
from collections.abc import Callable

from perfsuite.domain.runtime import Session
from perfsuite.domain.task import Inputs, Outputs


class SlowedSession:
    """Runs an open session; each call takes 1 + `slowdown` times as long as the engine takes.

    After a call of d seconds the calling thread spins until d * (1 + slowdown) have passed, as a
    kernel would that computes for longer; reading the clock makes it up to 0.1 us more. Where the
    session has a clock of its own, which spinning does not move, that clock is put forward instead.
    """

    clock: Callable[[], int] | None

    def __init__(self, session: Session, slowdown: float) -> None:
        if slowdown < 0.0:
            raise ValueError(f"a call cannot be slowed down by {slowdown}: it would be faster")
        self._slowdown = slowdown
        self._run, self._its_clock = session.run, session.clock
        self._added_ns = 0
        self.clock = None if session.clock is None else self._put_forward
        self.run = self._spinning if session.clock is None else self._shifting

    def _spinning(self, inputs: Inputs) -> Outputs:
        clock = time.perf_counter_ns
        start = clock()
        outputs = self._run(inputs)
        stop = clock()
        end = stop + (stop - start) * self._slowdown
        while clock() < end:
            pass
        return outputs

    def _shifting(self, inputs: Inputs) -> Outputs:
        start = self._put_forward()
        outputs = self._run(inputs)
        self._added_ns += round((self._put_forward() - start) * self._slowdown)
        return outputs

    def _put_forward(self) -> int:
        return (self._its_clock or time.perf_counter_ns)() + self._added_ns
