"""Simulated suites: what `auto` decides, how often it errs, and what other tools say of the same.

    python benchmarks/simulation.py [--suites 4000]

Each suite has 20 cells. A cell is measured in rounds of a process pair, baseline and new side by
side, until its verdict is decided or 24 rounds are done; what is red is measured a second time. The
noise of a pair's log ratio has a standard deviation of 0.02 to 0.05, as measured together, another
one for each cell; what slows the whole machine down in a round, 0.2, hits both of the pair.
Deterministic: seeded, and nothing is timed. What is measured beside its baseline is judged so; the
lines on stored baselines show what the noise between runs does, and why red needs 3.29 of it while
green needs 1.96: `benchmarks/stored_runs.py` has that rule.

The other rules see the same processes, all 24 rounds of them with 3 values each, and no pairs:
- pytest-benchmark `--benchmark-compare-fail=min:5%`: new minimum / old minimum > 1.05
  (`PercentageRegressionCheck` in pytest_benchmark/utils.py);
- a threshold of 10 % on the mean, as `--benchmark-compare-fail=mean:10%` would have it;
- pyperf `compare_to`: Student's two-sample t-test on all values, 95 %, and a slower mean
  (`is_significant` in pyperf/_utils.py, its table of t included);
- asv `compare`, `continuous`: Mann-Whitney U with p < 0.002 (`is_different` in asv/_stats.py) and a
  median more than 1.1 times the old (`_is_result_better` in asv/commands/compare.py).
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perfsuite.domain.looks import Looks
from perfsuite.judge.sequential import critical_value

LOOKS = Looks()
CELLS = 20
CHUNK = 250  # suites at a time: memory
FLOOR = 0.03  # perfsuite.domain.metrics: of a latency
EFFECTS = (0.0, 0.03, 0.05, 0.10)
MOOD = 0.2  # standard deviation of a round's log time that both of a pair share
VALUES = 3  # of each process, as pyperf's
WITHIN = 0.01  # standard deviation of a process's values
SLOW = math.log(1.8)  # what happens to single processes, or to single rounds

Array = NDArray[np.float64]
Shape = tuple[int, int, int]  # suites, cells, rounds


class Noise(NamedTuple):
    """Log times of processes: what both of a pair share, and what each has of its own."""

    shared: Array
    old: Array
    new: Array


def _gaussian(rng: np.random.Generator, shape: Shape) -> Noise:
    return Noise(rng.normal(0.0, MOOD, shape), *(_own(rng, shape) for _ in range(2)))


def _own(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.normal(0.0, 1.0, shape) / math.sqrt(2.0)  # a pair's difference deviates by 1


def _heavy(rng: np.random.Generator, shape: Shape) -> Noise:
    shared, old, new = (rng.standard_t(3, shape) / math.sqrt(3.0) for _ in range(3))
    return Noise(MOOD * shared, old / math.sqrt(2.0), new / math.sqrt(2.0))


def _drifting(rng: np.random.Generator, shape: Shape) -> Noise:
    walk = np.cumsum(rng.normal(0.01, 0.05, shape), axis=-1)
    return _gaussian(rng, shape)._replace(shared=walk)


def _drifting_apart(rng: np.random.Generator, shape: Shape) -> Noise:
    noise = _drifting(rng, shape)
    return noise._replace(new=_correlated(noise.new), old=_correlated(noise.old))


def _correlated(values: Array, correlation: float = 0.3) -> Array:
    found = values.copy()
    for one in range(1, values.shape[-1]):
        fresh = math.sqrt(1.0 - correlation**2) * values[..., one]
        found[..., one] = correlation * found[..., one - 1] + fresh
    return found


class Scenario(NamedTuple):
    """Noise in units of a cell's deviation, and what is added to it that knows no such unit."""

    noise: Callable[[np.random.Generator, Shape], Noise] = _gaussian
    deviations: tuple[float, float] = (0.02, 0.05)
    slow_rounds: float = 0.0  # how often both of a pair take 1.8 times as long
    slow_processes: float = 0.0  # how often one process does, alone
    run_both: float = 0.0  # deviation of a shift of all rounds of a measurement, of both alike
    run: float = 0.0  # deviation of such a shift of their log ratio, which the rounds do not show
    stored: bool = False  # the baseline: it was measured once, before, and no pair shares a round
    allowed: float = 0.0  # how much of the shift the interval allows for, to each side


SHIFT = 0.05
SCENARIOS = {
    "normal": Scenario(),
    "normal, noisiest cells alone (0.05)": Scenario(deviations=(0.05, 0.05)),
    "heavy-tailed (t, 3 degrees)": Scenario(_heavy),
    "drifting, both alike": Scenario(_drifting),
    "drifting apart (correlation 0.3)": Scenario(_drifting_apart),
    "1.8x slower: a fifth of the pairs": Scenario(slow_rounds=0.2),
    "1.8x slower: 2 % of the processes alone": Scenario(slow_processes=0.02),
    "1.8x slower: 10 % of the processes alone": Scenario(slow_processes=0.1),
    "shifts between runs (5 %), beside": Scenario(run_both=SHIFT),
    "shifts of which 0.3 % remain beside": Scenario(run_both=SHIFT, run=0.003),
    "shifts (5 %), stored baseline": Scenario(run=SHIFT, stored=True),
    "the same, shifts known, 1.96 of them": Scenario(run=SHIFT, stored=True, allowed=1.96 * SHIFT),
    "the same, shifts known, 3.29 of them": Scenario(run=SHIFT, stored=True, allowed=3.29 * SHIFT),
    "one after the other (0.26 to 0.38)": Scenario(deviations=(0.26, 0.38)),
}


class Samples(NamedTuple):
    """Log times of processes (suites, cells, rounds) without an effect."""

    old: Array
    new: Array


def measurements(
    scenario: Scenario, rng: np.random.Generator, suites: int
) -> tuple[Samples, Samples]:
    """Return two measurements of each cell of each suite; one stored baseline serves both."""
    deviation = rng.uniform(*scenario.deviations, (suites, CELLS, 1))
    first, again = (_measurement(scenario, rng, deviation) for _ in range(2))
    return first, again._replace(old=first.old) if scenario.stored else again


def _measurement(scenario: Scenario, rng: np.random.Generator, deviation: Array) -> Samples:
    shape = (*deviation.shape[:2], LOOKS.most)
    noise = scenario.noise(rng, shape)
    # Half of the shift's variance is the old processes' part: that of a stored baseline stays.
    old, new = (
        deviation * own
        + SLOW * (rng.random(shape) < scenario.slow_processes)
        + scenario.run / math.sqrt(2.0) * rng.normal(0.0, 1.0, deviation.shape)
        for own in (noise.old, noise.new)
    )
    if scenario.stored:
        return Samples(old, new)
    shared = noise.shared + SLOW * (rng.random(shape) < scenario.slow_rounds)
    shared = shared + scenario.run_both * rng.normal(0.0, 1.0, deviation.shape)
    return Samples(old + shared, new + shared)


class Outcome(NamedTuple):
    """Per suite and cell: what one measurement ended with."""

    red: NDArray[np.bool_]
    green: NDArray[np.bool_]
    undecided: NDArray[np.bool_]
    rounds: NDArray[np.int_]
    covered: NDArray[np.bool_]  # by the interval at which measuring stopped
    always: NDArray[np.bool_]  # by the intervals of all looks


def measured(found: Samples, effect: float, allowed: float = 0.0) -> Outcome:
    """Return the outcomes of `perfsuite.judge.decisions` at the intervals of each look.

    The same rules, over whole arrays; a test holds them against those functions.
    """
    truth = math.log1p(effect)
    rounds = np.arange(LOOKS.first, LOOKS.most + 1)
    means, halves = _looks(found.new - found.old + truth, rounds)
    halves = np.hypot(halves, allowed)
    values, low, high = (np.expm1(means + sign * halves) for sign in (0.0, -1.0, 1.0))
    holds = np.abs(means - truth) <= halves
    decided = (high <= FLOOR) | (low > 0.0)
    last = np.where(decided.any(-1), decided.argmax(-1), len(rounds) - 1)

    def stopped(values: NDArray) -> NDArray:
        return np.take_along_axis(values, last[..., None], axis=-1)[..., 0]

    green = stopped(high) <= FLOOR
    red = ~green & (stopped(low) > 0.0)
    open_ = ~green & ~red
    green |= open_ & (stopped(values) <= FLOOR) & (stopped(high) <= 2 * FLOOR)
    return Outcome(red, green, open_, rounds[last], stopped(holds), holds.all(-1))


def _looks(ratios: Array, rounds: NDArray[np.int_]) -> tuple[Array, Array]:
    """Return means and half widths of the log ratios at each look."""
    sums = np.cumsum(ratios, axis=-1)[..., rounds - 1]
    squares = np.cumsum(ratios**2, axis=-1)[..., rounds - 1]
    variances = np.maximum(squares - sums**2 / rounds, 0.0) / (rounds - 1)
    critical = np.array([critical_value(LOOKS, int(one)) for one in rounds])
    return sums / rounds, critical * np.sqrt(variances / rounds)


Red = NDArray[np.bool_]


def minimum(old: Array, new: Array) -> Red:
    """Return where pytest-benchmark's `min:5%` fails; times (suites, cells, values)."""
    return new.min(-1) > 1.05 * old.min(-1)


def mean(old: Array, new: Array) -> Red:
    """Return where the mean is more than 10 % above."""
    return new.mean(-1) > 1.10 * old.mean(-1)


def students(old: Array, new: Array) -> Red:
    """Return where pyperf says significantly slower. Its table has 1.984 for 100 to 199 degrees."""
    variance = (old.var(-1, ddof=1) + new.var(-1, ddof=1)) / old.shape[-1]
    return (new.mean(-1) - old.mean(-1)) >= 1.984 * np.sqrt(variance)


def mann_whitney(old: Array, new: Array) -> Red:
    """Return where asv says worse: by its normal approximation for more than 20 values."""
    count = old.shape[-1]
    order = np.concatenate([old, new], axis=-1).argsort(axis=-1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, 2 * count + 1), axis=-1)
    u = ranks[..., :count].sum(-1) - count * (count + 1) / 2
    deviation = math.sqrt(count * count * (2 * count + 1) / 12)
    different = np.abs(u - count * count / 2) > 3.0902 * deviation  # p < 0.002, two-sided
    return different & (np.median(new, -1) > 1.1 * np.median(old, -1))


OTHERS: dict[str, Callable[[Array, Array], Red]] = {
    "min:5%": minimum,
    "mean 10 %": mean,
    "pyperf": students,
    "asv": mann_whitney,
}


def times(log_times: Array, rng: np.random.Generator) -> Array:
    """Return `VALUES` times of each process, (suites, cells, rounds * VALUES)."""
    values = rng.normal(0.0, WITHIN, (*log_times.shape, VALUES))
    return np.exp(log_times[..., None] + values).reshape(*log_times.shape[:2], -1)


class Tally:
    """Sums over chunks of suites, by name and effect."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, float], float] = {}
        self.suites = 0

    def add(self, name: str, effect: float, per_suite: NDArray) -> None:
        """Add one number for each suite."""
        key = (name, effect)
        self.sums[key] = self.sums.get(key, 0.0) + float(per_suite.sum())

    def mean(self, name: str, effect: float) -> float:
        """Return the mean over all suites."""
        return self.sums[name, effect] / self.suites


def simulated(name: str, scenario: Scenario, suites: int) -> Tally:
    """Return the tally of a scenario."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    tally = Tally()
    for start in range(0, suites, CHUNK):
        count = min(CHUNK, suites - start)
        _chunk(scenario, rng, count, tally)
        tally.suites += count
    return tally


def _chunk(scenario: Scenario, rng: np.random.Generator, count: int, tally: Tally) -> None:
    first, second = measurements(scenario, rng, count)
    old, new = times(first.old, rng), times(first.new, rng)
    for effect in EFFECTS:
        one, again = (measured(found, effect, scenario.allowed) for found in (first, second))
        red = one.red & again.red
        green = one.green | (one.red & again.green)
        tally.add("suites red", effect, red.any(-1))
        tally.add("suites green", effect, green.all(-1))
        per_cell = {
            "red": red,
            "green": green,
            "once": one.red,
            "undecided": one.undecided,
            "rounds": one.rounds,
            "covered": one.covered,
            "always": one.always,
        }
        for name, values in per_cell.items():
            tally.add(name, effect, values.mean(-1))
        for name, rule in OTHERS.items():
            found = rule(old, new * (1.0 + effect))
            tally.add(name, effect, found.mean(-1))
            tally.add(f"{name}, suites", effect, found.any(-1))


def own_rows(tallies: dict[str, Tally]) -> Iterator[list[str]]:
    """Yield the table of perfsuite's own figures."""
    yield [
        "processes",
        "false alarms a suite",
        "measured once",
        "+3 %",
        "+5 %",
        "+10 %",
        "unchanged cells green",
        "+5 % cells green",
        "coverage at the stop",
        "at all looks together",
        "rounds, unchanged",
        "+5 %",
        "undecided",
    ]
    for name, tally in tallies.items():
        yield [
            name,
            f"{tally.mean('suites red', 0.0):.2%}",
            f"{CELLS * tally.mean('once', 0.0):.0%}",
            *(f"{tally.mean('red', effect):.1%}" for effect in EFFECTS[1:]),
            f"{tally.mean('green', 0.0):.2%}",
            f"{tally.mean('green', 0.05):.2%}",
            *(f"{tally.mean(one, 0.0):.1%}" for one in ("covered", "always")),
            *(f"{tally.mean('rounds', effect):.1f}" for effect in (0.0, 0.05)),
            f"{tally.mean('undecided', 0.0):.1%}",
        ]


def other_rows(tallies: dict[str, Tally]) -> Iterator[list[str]]:
    """Yield the table of false alarms a suite and power of all rules."""
    yield ["processes", "perfsuite", *OTHERS]
    for name, tally in tallies.items():
        ours = ("suites red", "red")
        yield [name, *(_figures(tally, *names) for names in [ours, *map(_names, OTHERS)])]


def _names(rule: str) -> tuple[str, str]:
    return f"{rule}, suites", rule


def _figures(tally: Tally, alarms: str, found: str) -> str:
    power = " · ".join(f"{tally.mean(found, effect):.0%}" for effect in EFFECTS[1:])
    return f"{tally.mean(alarms, 0.0):.1%} ({power})"


def table(rows: Iterator[list[str]]) -> str:
    """Return a Markdown table; the first row is its heading."""
    heading, *rest = rows
    lines = [heading, ["---"] * len(heading), *rest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print what `auto` does, then how other rules do on the same samples."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--suites", type=int, default=4000)
    suites = parser.parse_args().suites
    tallies = {name: simulated(name, one, suites) for name, one in SCENARIOS.items()}
    print(f"{suites} suites of {CELLS} cells a line\n\n{table(own_rows(tallies))}\n")
    print("False alarms a suite (found at +3 % · +5 % · +10 %)\n")
    print(table(other_rows(tallies)))


if __name__ == "__main__":
    main()
