"""Slow-downs of known size: exact on a session's own clock, at least as long on the real one."""

import time
from itertools import cycle

import numpy as np
import pytest

from perfsuite.domain.suite import Measure
from perfsuite.measure.latency import time_calls
from perfsuite.measure.slowed import SlowedSession
from perfsuite.runtimes.shared.base import BaseSession


class Scripted(BaseSession):
    """A session whose clock advances by scripted calls alone."""

    def __init__(self, *calls_ns):
        self.calls_ns, self.now_ns = cycle(calls_ns), 0
        self.clock = lambda: self.now_ns

    def run(self, inputs):
        self.now_ns += next(self.calls_ns)
        return [inputs["x"]]


class Sleeping(BaseSession):
    """A session on the real clock, whose calls take 2 ms or more."""

    def run(self, inputs):
        time.sleep(0.002)
        return [inputs["x"]]


INPUTS = {"x": np.ones(1, np.float32)}


def timed(session):
    settings = Measure(calls=4, seconds=0.0, warmup_seconds=0.0)
    found = time_calls(session, [INPUTS], settings, clock=session.clock)
    return [round(one * 1e9) for one in found.samples_s]


def test_each_call_is_prolonged_by_its_own_share_on_the_sessions_clock():
    # The first of the calls is not among the samples.
    assert timed(SlowedSession(Scripted(1000, 2000), 0.05)) == [2100, 1050, 2100, 1050]


def test_answers_are_those_of_the_session():
    (answer,) = SlowedSession(Scripted(1000), 0.1).run(INPUTS)
    assert answer is INPUTS["x"]


def test_the_real_clock_is_waited_for():
    session = SlowedSession(Sleeping(), 0.5)
    assert session.clock is None
    start = time.perf_counter_ns()
    session.run(INPUTS)
    assert time.perf_counter_ns() - start >= 3_000_000


def test_nothing_can_be_made_faster():
    with pytest.raises(ValueError, match=r"slowed down by -0\.1"):
        SlowedSession(Scripted(1), -0.1)


def test_what_it_costs_to_be_called_through_here_is_no_slow_down(monkeypatch):
    """Each look at the clock takes 10 ns: a call of 1000 ns is not prolonged by these."""

    class Clock:
        now_ns = 0

        def read(self):
            self.now_ns += 10
            return self.now_ns

    clock = Clock()

    class Session(BaseSession):
        def run(self, inputs):
            clock.now_ns += 1000
            return [inputs["x"]]

    monkeypatch.setattr(time, "perf_counter_ns", clock.read)
    plain, slowed = Session(), SlowedSession(Session(), 0.1)

    def taken(session):
        start = clock.read()
        session.run(INPUTS)
        return clock.read() - start

    # From 1010 ns to 1110, of which the last look at the clock may be 10 too many.
    assert taken(plain) == 1010
    assert taken(slowed) == pytest.approx(1.1 * 1010, abs=10)
