"""How often intervals hold the true ratio: Student's t beside the percentile bootstrap.

    python benchmarks/coverage.py

A process's log ratio is drawn from each of four distributions, as many processes as a run measures;
an interval of 95 % should hold the true mean in 95 of 100 such runs. Deterministic: seeded, and
nothing is timed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from perfsuite.judge.intervals import mean_interval

RUNS = 10_000
REPLICATES = 1_000
PROCESSES = (4, 8, 16, 32)
SPREAD = 0.1  # standard deviation of a log ratio

Draw = Callable[[np.random.Generator, int], np.ndarray]

# Each has the mean 0: the true ratio is 1.
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, count: rng.normal(0.0, SPREAD, count),
    "heavy-tailed (t, 3 degrees)": lambda rng, count: SPREAD * rng.standard_t(3, count),
    "skewed (exponential)": lambda rng, count: SPREAD * (rng.exponential(1.0, count) - 1.0),
    "bimodal (a quarter 1.8x slower)": lambda rng, count: (
        rng.normal(0.0, SPREAD / 4, count)
        + math.log(1.8) * ((rng.random(count) < 0.25).astype(float) - 0.25)
    ),
}


def students(sample: np.ndarray, _: np.random.Generator) -> bool:
    """Return whether perfsuite's own interval holds the true ratio, 1."""
    found = mean_interval(list(sample))
    return found is not None and found.low <= 1.0 <= found.high


def percentile(sample: np.ndarray, rng: np.random.Generator) -> bool:
    """Return whether the percentile bootstrap's interval holds it (Efron and Tibshirani 1993)."""
    chosen = rng.integers(0, len(sample), (REPLICATES, len(sample)))
    low, high = np.percentile(sample[chosen].mean(axis=1), [2.5, 97.5])
    return bool(low <= 0.0 <= high)


def coverage(draw: Draw, count: int, holds: Callable[..., bool]) -> float:
    """Return the share of `RUNS` runs of `count` processes whose interval holds the true ratio."""
    rng = np.random.default_rng([count, 1])
    return sum(holds(draw(rng, count), rng) for _ in range(RUNS)) / RUNS


def main() -> None:
    """Print one line a distribution and number of processes."""
    print(f"| distribution | processes | Student's t | percentile bootstrap |\n{'| --- ' * 4}|")
    for name, draw in DISTRIBUTIONS.items():
        for count in PROCESSES:
            ours, other = (coverage(draw, count, holds) for holds in (students, percentile))
            print(f"| {name} | {count} | {ours:.1%} | {other:.1%} |", flush=True)


if __name__ == "__main__":
    main()
