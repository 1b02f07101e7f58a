"""Timing under a clock that counts scripted durations: whole results are compared."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.measure import latency
from perfsuite.measure.latency import (
    MOST_CALLS,
    Latencies,
    Turn,
    call_for,
    is_steady,
    time_calls,
)
from perfsuite.measure.metering import Metering

MS = 1_000_000


class Scripted:
    """A session whose calls take scripted times, and the clock that sees them pass."""

    def __init__(self, durations_ns: Iterable[int]) -> None:
        self.now = 0
        self.durations: Iterator[int] = iter(durations_ns)
        self.seen: list[float] = []
        self.collecting: list[bool] = []

    def clock(self) -> int:
        return self.now

    def run(self, inputs: Inputs) -> Outputs:
        self.now += next(self.durations)
        self.seen.append(float(inputs["x"][0]))
        self.collecting.append(gc.isenabled())
        return []


def rotation(count: int) -> list[Inputs]:
    return [{"x": np.array([float(index)])} for index in range(count)]


def timed(session: Scripted, settings: Measure, count: int = 1) -> Latencies:
    return time_calls(session, rotation(count), settings, clock=session.clock)  # type: ignore[arg-type]


def test_equal_calls_are_steady_after_the_window() -> None:
    session = Scripted(chain([70 * MS], repeat(25 * MS)))
    got = timed(session, Measure(calls=3, seconds=0.0))
    # 5 blocks of 2 calls (50 ms) after the first call
    assert got == Latencies((0.025, 0.025, 0.025), 0.07, 11, True)


def test_warm_up_goes_on_while_calls_get_faster() -> None:
    falling = [100 * MS, 90 * MS, 80 * MS, 70 * MS, 60 * MS]
    session = Scripted(chain([1], falling, repeat(50 * MS)))
    got = timed(session, Measure(calls=1, seconds=0.0))
    assert got.steady
    assert got.warmup_calls == 1 + len(falling) + 5


def test_never_steady_ends_at_the_limit_and_says_so() -> None:
    session = Scripted(chain([1], [100 * MS, 200 * MS] * 50))
    got = timed(session, Measure(calls=2, seconds=0.0, warmup_seconds=1.0))
    assert not got.steady
    assert got.warmup_calls == 1 + 7  # 100 + 200 + ... + 100 ms passes the second
    assert got.samples_s == (0.2, 0.1)


def test_both_calls_and_seconds_are_reached() -> None:
    by_calls = timed(Scripted(repeat(400 * MS)), Measure(calls=5, seconds=1.0))
    by_seconds = timed(Scripted(repeat(400 * MS)), Measure(calls=1, seconds=1.0))
    assert len(by_calls.samples_s) == 5
    assert len(by_seconds.samples_s) == 3


def test_very_short_calls_do_not_fill_the_journal() -> None:
    session = Scripted(repeat(100))
    got = timed(session, Measure(calls=1, seconds=1.0, warmup_seconds=0.0))
    assert len(got.samples_s) == MOST_CALLS


def test_no_warm_up_is_not_steady() -> None:
    got = timed(Scripted(repeat(MS)), Measure(calls=1, seconds=0.0, warmup_seconds=0.0))
    assert got == Latencies((0.001,), 0.001, 1, False)


def test_inputs_rotate_and_the_timed_calls_begin_with_the_first() -> None:
    session = Scripted(repeat(30 * MS))
    got = timed(session, Measure(calls=7, seconds=0.0), count=3)
    assert session.seen[: got.warmup_calls] == [float(i % 3) for i in range(got.warmup_calls)]
    assert session.seen[got.warmup_calls :] == [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0]


def test_the_garbage_collector_is_off_and_comes_back() -> None:
    session = Scripted(repeat(25 * MS))
    timed(session, Measure(calls=1, seconds=0.0))
    assert not any(session.collecting)
    assert gc.isenabled()
    with pytest.raises(StopIteration):
        timed(Scripted([MS]), Measure())  # the script ends: the session fails in the second call
    assert gc.isenabled()


def test_a_garbage_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        timed(Scripted(repeat(25 * MS)), Measure(calls=1, seconds=0.0))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_window_holds_as_many_calls_as_fit_and_at_least_one() -> None:
    session = Scripted(repeat(MS))
    assert call_for(session, rotation(2), 0.0) == 1
    done = call_for(session, rotation(2), 0.01)
    assert done > 1
    assert session.seen == [0.0, *(float(i % 2) for i in range(done))]
    assert not any(session.collecting)


def test_freeing_the_outputs_is_not_timed() -> None:
    session = Scripted(repeat(0))

    class Slow(list):  # type: ignore[type-arg]
        def __del__(self) -> None:
            session.now += 500 * MS

    def run(inputs: Inputs) -> Outputs:
        session.now += 10 * MS
        return Slow()

    session.run = run  # type: ignore[method-assign]
    got = timed(session, Measure(calls=4, seconds=0.0))
    assert set(got.samples_s) == {0.01}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_refused(bad: float) -> None:
    session = Scripted(repeat(10 * MS))

    def run(inputs: Inputs) -> Outputs:
        session.now += 10 * MS
        return [np.arange(3), np.array([1.0, bad, 2.0], np.float32)]

    session.run = run  # type: ignore[method-assign]
    with pytest.raises(BuildError, match=r"output '1': .* of 3 values"):
        timed(session, Measure(calls=4, seconds=0.0))


def test_no_inputs() -> None:
    with pytest.raises(ConfigError, match="no inputs"):
        time_calls(Scripted([]), [], Measure())  # type: ignore[arg-type]


def test_no_inputs_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        time_calls(Scripted([]), [], Measure())  # type: ignore[arg-type]
    assert str(caught.value) == "there are no inputs to time: give at least one"


def test_a_block_is_as_long_as_its_calls_together() -> None:
    """50 ms of calls, so that one interruption is one call of many."""
    for length, calls in ((10, 5), (49, 2), (50, 1), (51, 1)):
        session = Scripted(repeat(length * MS))
        got = timed(session, Measure(calls=1, seconds=0.0))
        assert got.warmup_calls == 1 + 5 * calls


def test_a_warm_up_may_be_just_long_enough() -> None:
    # Four blocks of 50 ms end at 200 ms, after the limit of 0.2 s begins the first no more.
    for limit_s, blocks in ((0.2, 4), (0.201, 5)):
        session = Scripted(chain([MS], repeat(50 * MS)))
        got = timed(session, Measure(calls=1, seconds=0.0, warmup_seconds=limit_s))
        assert (got.warmup_calls, got.steady) == (1 + blocks, blocks == 5)


def test_a_second_is_reached_by_a_call_that_ends_with_it() -> None:
    got = timed(Scripted(repeat(500 * MS)), Measure(calls=1, seconds=1.0, warmup_seconds=0.0))
    assert got.samples_s == (0.5, 0.5)


def test_more_calls_than_the_most_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "MOST_CALLS", 10)
    for asked, seconds, made in ((12, 5.0, 12), (3, 5.0, 10), (10, 0.0, 10)):
        session = Scripted(repeat(MS))
        settings = Measure(calls=asked, seconds=seconds, warmup_seconds=0.0)
        assert len(timed(session, settings).samples_s) == made


def test_outputs_of_the_last_call_are_those_that_are_checked() -> None:
    session = Scripted(repeat(10 * MS))
    bad = [np.array([np.nan])]
    calls = iter([bad, bad, [np.zeros(1)]])

    def run(inputs: Inputs) -> Outputs:
        session.now += 10 * MS
        return next(calls)

    session.run = run  # type: ignore[method-assign]
    settings = Measure(calls=2, seconds=0.0, warmup_seconds=0.0)
    assert len(timed(session, settings).samples_s) == 2


@pytest.mark.parametrize(
    ("medians", "steady"),
    [
        ([100.0, 105.0, 100.0, 105.0, 100.0], True),  # just 5 % apart
        ([100.0, 105.5, 100.0, 105.5, 100.0], False),
        ([100.0, 100.0, 101.0, 102.0, 103.0], True),  # no strict rise
        ([103.0, 103.0, 102.0, 101.0, 100.0], True),  # nor fall
        ([10.0] * 4, False),  # too few
        ([10.0] * 5, True),
        ([99.0, 10.0, 10.1, 10.0, 10.2, 10.1], True),  # the first is out of the window
        ([10.0, 10.0, 10.6, 10.0, 10.0], False),  # 6 % apart
        ([10.4, 10.3, 10.2, 10.1, 10.0], False),  # close, but falling
        ([10.0, 10.1, 10.2, 10.3, 10.4], False),  # close, but rising
    ],
)
def test_is_steady(medians: list[float], steady: bool) -> None:
    assert is_steady(medians) is steady


def test_the_real_clock_gives_positive_times() -> None:
    class Null:
        def run(self, inputs: Inputs) -> Outputs:
            return [np.sqrt(inputs["x"])]

    run: Callable[..., Latencies] = time_calls
    got = run(Null(), rotation(2), Measure(calls=50, seconds=0.0, warmup_seconds=0.0))
    assert len(got.samples_s) == 50
    assert all(0 < sample < 1 for sample in got.samples_s)


# -- in turns -------------------------------------------------------------------------------------


class Few:
    """So many turns, or these; notes what it is told."""

    def __init__(self, turns: int, *more: Turn) -> None:
        self.turns: list[Turn] = ["slice"] * turns + [*more, "end"]
        self.told = list[tuple[int, int]]()

    def wait(self, calls: int, spent_ns: int) -> Turn:
        self.told.append((calls, spent_ns))
        return self.turns.pop(0)


def in_turns(length_ns: int, turns: Few, **more: Any) -> Latencies:
    session = more.pop("session", None) or Scripted(repeat(length_ns))
    settings = Measure(calls=3, seconds=9.0, warmup_seconds=0.0)
    return time_calls(session, rotation(3), settings, clock=session.clock, turns=turns, **more)


def test_a_turn_is_a_slice_of_100_ms_behind_5_ms_of_waking() -> None:
    turns = Few(2)
    session = Scripted(repeat(MS))
    found = in_turns(MS, turns, session=session)
    # 1 first call; each turn 5 calls that are not kept and 100 that are.
    assert found.slices == (100, 100)
    assert found.samples_s == (0.001,) * 200
    assert turns.told == [(0, 0), (100, 100 * MS), (200, 200 * MS)]
    assert len(session.seen) == 1 + 2 * 105
    assert session.seen[1:] == [float(index % 3) for index in range(210)]  # they go on rotating


@pytest.mark.parametrize(
    ("length_ms", "slices", "calls"), [(99, (2,), 1 + 3), (100, (1,), 1 + 1), (150, (1,), 1 + 1)]
)
def test_a_call_that_takes_a_slice_is_kept_also_when_it_wakes(
    length_ms: int, slices: tuple[int, ...], calls: int
) -> None:
    session = Scripted(repeat(length_ms * MS))
    assert in_turns(0, Few(1), session=session).slices == slices
    assert len(session.seen) == calls


def test_one_call_of_a_slice_is_enough_if_it_is_long() -> None:
    session = Scripted(chain([MS], [10 * MS, 150 * MS], [10 * MS, 60 * MS, 60 * MS]))
    assert in_turns(0, Few(2), session=session).slices == (1, 2)


def test_without_a_turn_nothing_is_timed() -> None:
    found = in_turns(MS, Few(0))
    assert (found.samples_s, found.slices, found.first_call_s) == ((), (), 0.001)


def test_a_slice_that_is_to_be_forgotten_leaves_no_sample() -> None:
    turns = Few(1, "slice", "forget", "slice")
    session = Scripted(chain([MS], [150 * MS], [200 * MS], [250 * MS]))
    found = in_turns(0, turns, session=session)
    assert found.samples_s == (0.15, 0.25)
    assert found.slices == (1, 1)
    assert turns.told == [(0, 0), (1, 150 * MS), (2, 350 * MS), (1, 150 * MS), (2, 400 * MS)]


def test_meters_are_told_of_others_turns_and_of_all_calls() -> None:
    seen: list[str] = []

    class Noting(Metering):
        def start(self, phase: str) -> None:
            seen.append(f"start {phase}")

        def pause(self) -> None:
            seen.append("pause")

        def resume(self) -> None:
            seen.append("resume")

        def stop(self, phase: str, calls: int = 0) -> None:
            seen.append(f"stop {phase} {calls}")

    in_turns(50 * MS, Few(2, "forget"), metering=Noting())
    # In each turn one call wakes the process and two are timed.
    turn = ["resume", "pause"]
    assert seen == ["start calls", "pause", *turn, *turn, "stop calls 6"]


def test_the_outputs_of_the_last_turn_are_checked() -> None:
    session = Scripted(repeat(150 * MS))

    def run(inputs: Inputs) -> Outputs:
        session.now += 150 * MS
        return [np.array([np.nan])]

    session.run = run  # type: ignore[method-assign]
    with pytest.raises(BuildError, match="output '0'"):
        in_turns(0, Few(1), session=session)
