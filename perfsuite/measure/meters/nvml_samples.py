"""Samples of a card's state, taken by a thread, and the energy that follows from them."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from perfsuite.errors import Unavailable

PERIOD_S = 0.02  # between two samples
LEAST_S = 1.0  # of the time for which energy means something
LEAST_STEPS = 5  # of a counter within it
LEAST_SAMPLES = 10  # of power within it
TOLERANCE = 0.05  # the range of a steady clock, relative to its median
_IDLE_SHARE = 0.25  # of the samples, at the begin, in which the clock may still rise


@dataclass(frozen=True)
class Sample:
    """What a card said at one moment; None for what it does not tell."""

    energy_j: float | None = None  # since the driver was loaded
    power_w: float | None = None
    clock_hz: float | None = None
    celsius: float | None = None
    reasons: int = 0  # for which it is slowed down, as bits
    memory_bytes: int = 0
    at_s: float = 0.0


class Sampler:
    """Takes samples from `start` to `stop`, in a thread of its own."""

    def __init__(self, take: Callable[[], Sample], now_s: Callable[[], float] = time.perf_counter):
        self._take, self._now_s = take, now_s
        self._samples: list[Sample] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began_s = 0.0

    def start(self) -> None:
        """Begin."""
        self._began_s = self._now_s()
        self._thread.start()

    def stop(self) -> tuple[list[Sample], float]:
        """Return the samples, and the seconds since `start`."""
        seconds = self._now_s() - self._began_s
        self._ended.set()
        self._thread.join()
        return self._samples, seconds

    def _run(self) -> None:
        while not self._ended.is_set():
            at_s = self._now_s()
            self._samples.append(replace(self._take(), at_s=at_s))
            self._ended.wait(PERIOD_S)


def energy_j_per_s(samples: Sequence[Sample]) -> float:
    """Return the joules of a second, from the card's counter, or its power where it has none.

    The counter stands still between its steps, so that the time from one step to another counts,
    not that from the first sample to the last. Raises `Unavailable` where the card tells neither,
    and for a time so short that the result would mean nothing.
    """
    counted = [(one.at_s, one.energy_j) for one in samples if one.energy_j is not None]
    powers = [(one.at_s, one.power_w) for one in samples if one.power_w is not None]
    if not counted and not powers:
        raise Unavailable(
            "the card tells neither its energy nor its power (not supported, or no rights)"
        )
    if not counted:
        return _mean_power_w(powers)
    steps = [after for before, after in pairwise(counted) if after[1] != before[1]]
    if len(steps) < LEAST_STEPS:
        raise Unavailable(
            f"the card's counter moved {len(steps)} times, at least {LEAST_STEPS} are needed"
        )
    (begin_s, begin_j), (end_s, end_j) = steps[0], steps[-1]
    _check_length(end_s - begin_s)
    return (end_j - begin_j) / (end_s - begin_s)


def _mean_power_w(powers: Sequence[tuple[float, float]]) -> float:
    """Return the mean of the power over time, by the trapezoidal rule."""
    seconds = powers[-1][0] - powers[0][0]
    _check_length(seconds)
    if len(powers) < LEAST_SAMPLES:
        raise Unavailable(
            f"{len(powers)} samples of the card's power, at least {LEAST_SAMPLES} are needed"
        )
    pieces = (
        (after_s - before_s) * (before_w + after_w) / 2
        for (before_s, before_w), (after_s, after_w) in pairwise(powers)
    )
    return sum(pieces) / seconds


def _check_length(seconds: float) -> None:
    if seconds < LEAST_S:
        raise Unavailable(
            f"energy was sampled for {seconds:.2f} s, at least {LEAST_S:g} s mean something"
        )


def steady(clocks_hz: Sequence[float]) -> bool:
    """Tell whether a clock stayed the same, after the begin, when it may still rise."""
    settled = clocks_hz[round(len(clocks_hz) * _IDLE_SHARE) :]
    if not settled:
        return True
    return max(settled) - min(settled) <= TOLERANCE * statistics.median(settled)
