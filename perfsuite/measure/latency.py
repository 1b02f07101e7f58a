"""The latency of calls: after warming up until they are steady, each call is timed."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, pairwise
from typing import Literal, Protocol

import msgspec

from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import ConfigError
from perfsuite.export.calls import copies
from perfsuite.export.parity import check_finite
from perfsuite.measure.metering import Metering

BLOCK_NS = 50_000_000  # of a block of warm-up calls at least, longer than one interruption
WINDOW = 5  # blocks whose medians must agree
TOLERANCE = 0.05  # the range of these medians, relative to their median
MOST_CALLS = 100_000  # so that the journal does not grow too large
SLICE_NS = 100_000_000  # what a process times in one turn, at least one call
WAKING_NS = 5_000_000  # of a turn: threads wake up and caches fill again, and nothing is kept


class Latencies(msgspec.Struct, frozen=True):
    """Raw latencies of one process, in the order in which they were taken.

    `warmup_calls` counts all calls before the timed ones, the first included. `steady` is False
    when the warm-up limit was reached first. `slices` holds the number of samples of each slice,
    where processes took turns.
    """

    samples_s: tuple[float, ...]
    first_call_s: float
    warmup_calls: int
    steady: bool
    slices: tuple[int, ...] = ()


class Runs(Protocol):
    """All that is needed of a session to time its calls."""

    def run(self, inputs: Inputs) -> Outputs:
        """Return the engine's answers."""
        ...


# What to do in a turn: time a slice; forget the last one; end.
Turn = Literal["slice", "forget", "end"]


class Turns(Protocol):
    """What tells a process when it is its turn; between turns it is stopped."""

    def wait(self, calls: int, spent_ns: int) -> Turn:
        """Return what is to be done, once it is this process's turn.

        `calls` were timed so far, and took `spent_ns` nanoseconds together.
        """
        ...


def time_calls(
    session: Runs,
    inputs: Sequence[Inputs],
    settings: Measure,
    *,
    clock: Callable[[], int] = time.perf_counter_ns,
    metering: Metering | None = None,
    turns: Turns | None = None,
    not_finite: Collection[int] = (),
) -> Latencies:
    """Return the latencies of calls that rotate over `inputs`, from host arrays to host arrays.

    Timing ends after `settings.calls` calls that took at least `settings.seconds` seconds, or after
    `MOST_CALLS` calls unless `settings.calls` asks for more; with `turns` it goes on in slices for
    as long as these say. Freeing the outputs is not timed; the garbage collector is off. `clock`
    counts nanoseconds; `metering` samples while calls are timed. Raises `ConfigError` without
    inputs, `BuildError` if an output of the last call has NaN or infinite values, but for those at
    the places `not_finite`, in which the model itself has them, and what the session raises.
    """
    if not inputs:
        raise ConfigError("there are no inputs to time: give at least one")
    with garbage_collector_off():
        rotation = cycle(inputs)
        (first_call_ns,), _ = _until(session, rotation, clock, calls=1, duration_ns=0)
        warmup_calls, steady = _warm_up(session, rotation, settings, clock)
        meters = metering or Metering()
        slices: tuple[int, ...] = ()
        if turns is not None:
            samples_ns, slices, outputs = _in_turns(session, inputs, clock, turns, meters)
        else:
            meters.start("calls")
            samples_ns, outputs = _until(
                session,
                cycle(inputs),
                clock,
                calls=settings.calls,
                duration_ns=round(settings.seconds * 1e9),
            )
            meters.stop("calls", len(samples_ns))
    # Times of NaN values are worthless, because kernels may take other paths for them.
    names = [str(index) for index in range(len(outputs))]
    check_finite(outputs, names, {str(index) for index in not_finite})
    return Latencies(
        samples_s=tuple(sample / 1e9 for sample in samples_ns),
        first_call_s=first_call_ns / 1e9,
        warmup_calls=1 + warmup_calls,
        steady=steady,
        slices=slices,
    )


def _in_turns(
    session: Runs,
    inputs: Sequence[Inputs],
    clock: Callable[[], int],
    turns: Turns,
    meters: Metering,
) -> tuple[list[int], tuple[int, ...], Outputs]:
    """Return the nanoseconds of all calls, how many each slice has, and the last outputs.

    The calls of the first `WAKING_NS` of a turn are left out, unless one alone takes a slice: then
    what waking costs hardly shows in it, and leaving it out would double the time of measuring.
    """
    rotation = cycle(inputs)
    samples: list[int] = []
    slices: list[int] = []
    outputs: Outputs = []
    made = 0  # also those that are left out or forgotten: meters have seen them
    meters.start("calls")
    meters.pause()
    while (turn := turns.wait(len(samples), sum(samples))) != "end":
        if turn == "forget":
            del samples[len(samples) - slices.pop() :]
            continue
        meters.resume()
        found, outputs = _until(session, rotation, clock, calls=1, duration_ns=WAKING_NS)
        made += len(found)
        if found[0] < SLICE_NS:
            found, outputs = _until(session, rotation, clock, calls=1, duration_ns=SLICE_NS)
            made += len(found)
        meters.pause()
        samples += found
        slices.append(len(found))
    meters.stop("calls", made)
    return samples, tuple(slices), outputs


def call_for(session: Runs, inputs: Sequence[Inputs], seconds: float) -> int:
    """Return how many calls, which rotate over `inputs`, were made in at least `seconds`.

    At least one is made. It is for what samples beside them: no call is timed by itself.
    """
    rotation, done = cycle(inputs), 0
    with garbage_collector_off():
        end = time.perf_counter() + seconds
        while done == 0 or time.perf_counter() < end:
            session.run(next(rotation))
            done += 1
    return done


def timed_run(session: Runs) -> tuple[Callable[[Inputs], Outputs], Callable[[Inputs], Inputs]]:
    """Return what to time, and what makes its inputs, which is not timed.

    A module that changes its inputs in place is given copies; making them is not its work.
    """
    if not getattr(session, "shares_memory", False):
        return session.run, _as_it_is
    in_place: Callable[[Inputs], Outputs] = session.run_in_place  # type: ignore[attr-defined]
    return in_place, copies


def _as_it_is(inputs: Inputs) -> Inputs:
    return inputs


def is_steady(medians: Sequence[float]) -> bool:
    """Tell whether the last `WINDOW` block medians lie close together and show no trend.

    They are close if their range is at most `TOLERANCE` of their median. This follows Georges,
    Buytaert and Eeckhout ("Statistically rigorous Java performance evaluation", OOPSLA 2007, 4.3),
    who stop when the coefficient of variation of a sliding window falls below a threshold; medians
    and ranges are used here so that a single interruption does not prolong the warm-up. There is a
    trend if they rise or fall strictly, the extreme of Mann's test (Econometrica 13, 1945). Five
    values without a trend do so with a probability of 2/5! = 1.7 %, which costs one more block.
    """
    window = medians[-WINDOW:]
    if len(window) < WINDOW:
        return False
    if max(window) - min(window) > TOLERANCE * statistics.median(window):
        return False
    steps = [after - before for before, after in pairwise(window)]
    return not (all(step < 0 for step in steps) or all(step > 0 for step in steps))


def _warm_up(
    session: Runs, rotation: Iterator[Inputs], settings: Measure, clock: Callable[[], int]
) -> tuple[int, bool]:
    """Return the number of calls made, and whether they became steady within the time limit."""
    limit = clock() + round(settings.warmup_seconds * 1e9)
    medians: list[float] = []
    calls = 0
    while clock() < limit:
        block, _ = _until(session, rotation, clock, calls=1, duration_ns=BLOCK_NS)
        calls += len(block)
        medians.append(statistics.median(block))
        if is_steady(medians):
            return calls, True
    return calls, False


def _until(
    session: Runs,
    rotation: Iterator[Inputs],
    clock: Callable[[], int],
    *,
    calls: int,
    duration_ns: int,
) -> tuple[list[int], Outputs]:
    """Return the nanoseconds of each call, and the outputs of the last one.

    There are at least `calls` calls, and they take at least `duration_ns`. In the loop only local
    names are used, because they are the fastest.
    """
    samples: list[int] = []
    run, give = timed_run(session)
    keep, advance = samples.append, rotation.__next__
    most = max(MOST_CALLS, calls)
    done = 0
    outputs: Outputs = []
    stop = clock()
    end = stop + duration_ns
    while done < calls or (stop < end and done < most):
        one = give(advance())
        outputs = []  # frees those of the last call, outside of the timed part
        start = clock()
        outputs = run(one)
        stop = clock()
        keep(stop - start)
        done += 1
    return samples, outputs


@contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Collect garbage now, and not again within the context."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
