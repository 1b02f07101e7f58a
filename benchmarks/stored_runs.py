"""Simulated suites that are held against a stored run: what the noise between runs lets be told.

    python benchmarks/stored_runs.py [--suites 4000]

Each suite has 20 cells, each measured in 8 processes in both runs; their log times deviate by 0.014
to 0.035, another one for each cell. All processes of a cell in a run are shifted alike, by the
noise between runs. It is known exactly, or learned from earlier runs, or not known: then the spread
of single processes takes its place (`perfsuite.judge.noise`). What is red is measured again, in the
same run: with the same shift, which is the worst case. Deterministic: seeded, and nothing is timed.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import LATENCY, METRICS
from perfsuite.judge.levels import chi_squared_tenth
from perfsuite.judge.noise import LIKELY, SURE
from perfsuite.judge.sequential import look_confidence
from perfsuite.judge.t_distribution import t_quantile

CELLS = 20
ROUNDS = 8
CHUNK = 250  # suites at a time: memory
FLOOR = METRICS[LATENCY].floor or 0.0
CONFIDENCE = look_confidence(Looks(), ROUNDS)
EFFECTS = (0.0, 0.03, 0.05, 0.10, 0.20)
BETWEEN = (0.0, 0.005, 0.01, 0.02, 0.035)
# From how many runs the noise is learned; "known" exactly, and "not known".
SOURCES: tuple[str | int, ...] = ("known", 20, 5, 3, "not known")

Array = NDArray[np.float64]


class Outcome(NamedTuple):
    """Per suite and cell: what one measurement ended with."""

    red: NDArray[np.bool_]
    green: NDArray[np.bool_]
    covered: NDArray[np.bool_]


class Suites(NamedTuple):
    """Log times (suites, cells, processes) of the baseline, of the new run, and of it again."""

    old: Array
    new: Array
    again: Array
    between: Array  # what is taken for the noise between runs, without what is not known


def suites(between: float, source: str | int, rng: np.random.Generator, count: int) -> Suites:
    """Return simulated suites without an effect."""
    deviation = rng.uniform(0.02, 0.05, (count, CELLS, 1)) / math.sqrt(2.0)

    def run(shift: Array) -> Array:
        return shift + deviation * rng.normal(0.0, 1.0, (count, CELLS, ROUNDS))

    def shift() -> Array:
        return rng.normal(0.0, between, (count, CELLS, 1))

    known = np.full((count, CELLS), between)
    if isinstance(source, int):
        known = learned(np.stack([run(shift()) for _ in range(source)], axis=-2))
    elif source == "not known":
        known = np.full((count, CELLS), math.nan)
    here = shift()
    return Suites(run(shift()), run(here), run(here), known)


def learned(runs: Array) -> Array:
    """Return what `perfsuite.judge.levels.between_runs` makes of runs (..., runs, processes)."""
    freedom = runs.shape[-2] - 1
    squares = runs.mean(-1).var(-1, ddof=1) * freedom
    explained = (runs.var(-1, ddof=1) / runs.shape[-1]).mean(-1)
    return np.sqrt(np.maximum(squares / chi_squared_tenth(freedom) - explained, 0.0))


def judged(old: Array, new: Array, between: Array, effect: float) -> Outcome:
    """Return the outcomes of `perfsuite.judge` for two stored runs.

    The same rules, over whole arrays; a test holds them against those functions.
    """
    truth = math.log1p(effect)
    change = new.mean(-1) + truth - old.mean(-1)
    one, other = (side.var(-1, ddof=1) / side.shape[-1] for side in (new, old))
    freedom = (one + other) ** 2 * (ROUNDS - 1) / (one**2 + other**2)
    half = _t(freedom) * np.sqrt(one + other)
    spread = np.sqrt((new.var(-1, ddof=1) + old.var(-1, ddof=1)) / 2.0)
    shift = math.sqrt(2.0) * np.where(np.isnan(between), spread, between)
    near, sure = np.hypot(half, LIKELY * shift), np.hypot(half, SURE * shift)
    value, low, high = (np.expm1(change + sign * near) for sign in (0.0, -1.0, 1.0))
    surely_within = (value <= FLOOR) & (high <= 2.0 * FLOOR)
    red = (high > FLOOR) & (change - sure > 0.0)
    green = (high <= FLOOR) | (~red & surely_within)
    return Outcome(red, green, (low <= effect) & (effect <= high))


_FREEDOM = np.linspace(ROUNDS - 1.0, 2.0 * (ROUNDS - 1.0), 141)
_QUANTILES = np.array([t_quantile((1.0 + CONFIDENCE) / 2.0, float(one)) for one in _FREEDOM])


def _t(freedom: Array) -> Array:
    return np.interp(freedom, _FREEDOM, _QUANTILES)


def simulated(between: float, source: str | int, count: int) -> dict[tuple[str, float], float]:
    """Return shares by what they are of and the effect."""
    rng = np.random.default_rng(zlib.crc32(f"{between} {source}".encode()))
    sums: dict[tuple[str, float], float] = {}
    for start in range(0, count, CHUNK):
        found = suites(between, source, rng, min(CHUNK, count - start))
        for effect in EFFECTS:
            one, again = (
                judged(found.old, new, found.between, effect) for new in (found.new, found.again)
            )
            red, green = one.red & again.red, one.green | (one.red & again.green)
            told = {"suites": red.any(-1), "red": red.mean(-1), "green": green.mean(-1)}
            for name, values in (told | {"covered": one.covered.mean(-1)}).items():
                key = (name, effect)
                sums[key] = sums.get(key, 0.0) + float(values.sum())
    return {key: value / count for key, value in sums.items()}


def rows(count: int) -> Iterator[list[str]]:
    """Yield the table, its heading first."""
    effects = [f"+{effect:.0%}".replace("%", " %") for effect in EFFECTS[1:]]
    heads = ["unchanged cells green", "+5 % cells green", "coverage"]
    yield ["noise between runs", "known from", "false alarms a suite", *effects, *heads]
    for between in BETWEEN:
        for source in SOURCES:
            found = simulated(between, source, count)
            yield [
                f"{between:.1%}",
                f"{source} runs" if isinstance(source, int) else source,
                f"{found['suites', 0.0]:.2%}",
                *(f"{found['red', effect]:.1%}" for effect in EFFECTS[1:]),
                f"{found['green', 0.0]:.1%}",
                f"{found['green', 0.05]:.1%}",
                f"{found['covered', 0.0]:.1%}",
            ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suites", type=int, default=4000)
    heading, *rest = rows(parser.parse_args().suites)
    for line in (heading, ["---"] * len(heading), *rest):
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
