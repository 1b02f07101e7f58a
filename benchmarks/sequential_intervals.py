"""Intervals that may be looked at after each round: how often they hold, how many rounds they take.

    python benchmarks/sequential_intervals.py

A pair's log ratio is normal with a deviation of 0.02 to 0.05. After 4 rounds and each further one,
up to 24, one looks whether an unchanged cell, or one that is 5 % slower, is decided with a floor
of 3 % (`perfsuite.judge.decisions`). Each way of spending has as much error to spend as makes its
intervals hold at all looks together as often as perfsuite's do. Seeded, and nothing is timed.

- Spending like Pocock and like O'Brien and Fleming (Lan and DeMets 1983), and powers of the share
  of rounds (Kim and DeMets 1987), all by the significance level approach (Jennison and Turnbull
  2000, section 4.4).
- A confidence sequence for a mean with unknown variance, which holds for ever: the Bayes factor of
  the t statistic, with a normal prior of variance g on the effect size, exceeds 1 / alpha at any
  time with a probability of at most alpha (Wang and Ramdas 2024, arXiv:2310.03722).
- Student's t at each look, which does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from perfsuite.domain.looks import Looks
from perfsuite.judge import sequential
from perfsuite.judge.t_distribution import t_quantile

LOOKS = Looks()
ROUNDS = np.arange(LOOKS.first, LOOKS.most + 1)
RUNS = 50_000
DEVIATIONS = (0.02, 0.03, 0.04, 0.05)
FLOOR = math.log(1.03)
SLOWER = math.log(1.05)
MISSES = 0.044  # of perfsuite's intervals, at any look

Array = NDArray[np.float64]


def pocock(share: float) -> float:
    """Return the share of the error that is spent; as those below."""
    return math.log(1.0 + (math.e - 1.0) * share)


def obrien_fleming(share: float) -> float:
    """Return it for boundaries like O'Brien and Fleming's, at a level of 0.05."""
    normal = NormalDist()
    half = normal.cdf(-normal.inv_cdf(1.0 - 0.05 / 4.0) / math.sqrt(share))
    return 4.0 * half / 0.05


SPENDING: dict[str, Callable[[float], float]] = {
    "spending like Pocock": pocock,
    "spending share^1": lambda share: share,
    "spending share^1.5": lambda share: share**1.5,
    "spending share^2": lambda share: share**2,
    "spending share^3": lambda share: share**3,
    "spending like O'Brien-Fleming": obrien_fleming,
}


def spent(spending: Callable[[float], float], error: float) -> Array:
    """Return the critical values of all looks."""
    levels = sequential.levels(LOOKS, lambda share: error * spending(share))
    return np.array(
        [
            t_quantile(1.0 - level / 2.0, rounds - 1)
            for level, rounds in zip(levels, _ints(), strict=True)
        ]
    )


def confidence_sequence(g: float, alpha: float = 0.05) -> Array:
    """Return the critical values at which the Bayes factor is 1 / alpha."""
    wide = 1.0 + g * ROUNDS
    root = (wide / alpha**2) ** (1.0 / ROUNDS)
    room = np.maximum(1.0 - root / wide, 1e-300)  # none: no t statistic gives such a factor
    return np.sqrt((ROUNDS - 1) * (root - 1.0) / room)


def _ints() -> list[int]:
    return [int(one) for one in ROUNDS]


class Normal:
    """Standard normal log ratios at each look: means, and standard errors of their mean."""

    def __init__(self) -> None:
        values = np.random.default_rng(13).normal(size=(RUNS, LOOKS.most))
        sums = np.cumsum(values, axis=1)[:, ROUNDS - 1]
        squares = np.cumsum(values**2, axis=1)[:, ROUNDS - 1]
        self.means = sums / ROUNDS
        self.errors = np.sqrt((squares - sums**2 / ROUNDS) / (ROUNDS - 1) / ROUNDS)

    def misses(self, critical: Array) -> float:
        """Return how often the truth is outside at any look."""
        return float((np.abs(self.means) > critical * self.errors).any(axis=1).mean())

    def decided(self, critical: Array, deviation: float, truth: float) -> tuple[float, float]:
        """Return the mean number of rounds, and how often all of them did not decide."""
        means, halves = self.means * deviation + truth, critical * self.errors * deviation
        done = (means + halves < FLOOR) | (means - halves > 0.0)
        last = np.where(done.any(axis=1), done.argmax(axis=1), len(ROUNDS) - 1)
        return float(ROUNDS[last].mean()), float(1.0 - done.any(axis=1).mean())


def calibrated(spending: Callable[[float], float], normal: Normal) -> Array:
    """Return the critical values with which a spending function misses in `MISSES`."""
    low, high = 0.02, 0.06
    for _ in range(12):
        middle = (low + high) / 2.0
        if normal.misses(spent(spending, middle)) < MISSES:
            low = middle
        else:
            high = middle
    return spent(spending, low)


def row(name: str, critical: Array, normal: Normal) -> str:
    """Return a line of the table."""
    unchanged = [normal.decided(critical, one, 0.0) for one in DEVIATIONS]
    slower = [normal.decided(critical, one, SLOWER) for one in DEVIATIONS]
    cells = [
        name,
        f"{1.0 - normal.misses(critical):.1%}",
        *(_width(critical[at] / math.sqrt(ROUNDS[at])) for at in (0, 4, len(ROUNDS) - 1)),
        " · ".join(f"{rounds:.1f}" for rounds, _ in unchanged),
        " · ".join(f"{undecided:.0%}" for _, undecided in unchanged),
        " · ".join(f"{rounds:.1f}" for rounds, _ in slower),
    ]
    return f"| {' | '.join(cells)} |"


def _width(deviations: float) -> str:
    return f"±{deviations:.2f}" if deviations < 1e3 else "none"


def main() -> None:
    """Print one line a kind of interval."""
    normal = Normal()
    print("Rounds at deviations of " + " · ".join(map(str, DEVIATIONS)) + "\n")
    print(
        "| interval | holds at all looks | at 4, in deviations | at 8 | at 24 "
        "| rounds, unchanged | undecided | rounds, +5 % |\n" + "| --- " * 8 + "|"
    )
    for name, spending in SPENDING.items():
        print(row(name, calibrated(spending, normal), normal), flush=True)
    for g in (1, 4):
        name = f"confidence sequence, g = {g}"
        print(row(name, confidence_sequence(g), normal), flush=True)
    own = np.array([sequential.critical_value(LOOKS, one) for one in _ints()])
    print(row("perfsuite (share^1.5)", own, normal))
    plain = np.array([t_quantile(0.975, one - 1) for one in _ints()])
    print(row("Student's t at each look", plain, normal))


if __name__ == "__main__":
    main()
