"""Intervals that stay valid although the samples are looked at again and again.

With `processes = "auto"` a round is added until the verdicts are decided. Looked at after each of 4
to 24 rounds, a plain 95 % interval misses the truth at some look in 23 of 100 runs, not in 5. Those
here hold at all looks of a plan together: repeated confidence intervals (Jennison and Turnbull
1989). So it does not matter why, or at which look, one stops.

How much error is spent at which look follows a spending function of the share of rounds measured
(Lan and DeMets 1983), here error * share ** 1.5 (Kim and DeMets 1987). That gives each look a
boundary for a normal mean of known variance, by the recursion of Armitage, McPherson and Rowe
(1969), and the probability beyond it is taken as the level of Student's t with the degrees of
freedom at that look: the significance level approach (Jennison and Turnbull 2000, section 4.4).
`benchmarks/sequential_intervals.py` compares it with other spending and with intervals that are
valid for ever, `benchmarks/simulation.py` shows what comes of it in suites.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perfsuite.domain.looks import Looks
from perfsuite.judge.t_distribution import t_quantile

# For intervals that hold in 95 %, one would spend 0.05. But t with few degrees of freedom crosses
# these boundaries more often than a normal variable does: in simulated plans of 4 to 24 rounds,
# 0.038 become 0.044, that is 0.022 a side. A false alarm takes two such errors in a row, which then
# happen in less than 1 % of suites of 20 cells: 20 * 0.022 ** 2.
_ERROR = 0.038
_POWER = 1.5

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)

_Array = NDArray[np.float64]


def look_confidence(looks: Looks, rounds: int) -> float:
    """Return the confidence of the plain interval that is used at the look after `rounds` rounds.

    It is above 95 % at each look, so that 95 % hold over all of them together. Before the first
    look nothing is stopped; what was cut short there is judged as at the first look.
    """
    if rounds > looks.most:
        raise ValueError(f"{rounds} rounds of a plan that ends after {looks.most}")
    return 1.0 - _cached_levels(looks)[max(0, rounds - looks.first)]


def rounds_needed(reach: float, rounds: int, distance: float, looks: Looks) -> int | None:
    """Return after how many rounds an interval may reach no farther than `distance` to a side.

    After `rounds` rounds it reaches as far as `reach`. A forecast for people who wait: further
    rounds are taken to spread like these, and their mean to stay. None if the plan ends before.
    """
    if rounds < 2:
        return None
    spread = reach * math.sqrt(rounds) / critical_value(looks, rounds)
    for later in range(max(looks.first, rounds), looks.most + 1):
        if critical_value(looks, later) * spread <= distance * math.sqrt(later):
            return later
    return None


def critical_value(looks: Looks, rounds: int) -> float:
    """Return how many standard errors an interval reaches to each side of the mean at this look."""
    return t_quantile((1.0 + look_confidence(looks, rounds)) / 2.0, rounds - 1)


@lru_cache(maxsize=16)
def _cached_levels(looks: Looks) -> tuple[float, ...]:
    return levels(looks, lambda share: _ERROR * share**_POWER)


def levels(looks: Looks, spending: Callable[[float], float]) -> tuple[float, ...]:
    """Return the two-sided nominal level of each look, from the first on.

    `spending` gives the error that may have been spent when a share of all rounds is measured.
    """
    # Nodes at which a sum of standard normal values may stand that crossed no boundary so far, and
    # the probability that each of them stands for.
    sums, masses = np.zeros(1), np.ones(1)
    deviation = math.sqrt(looks.first)  # of what is added to the sum until the next look
    found: list[float] = []
    spent = 0.0
    for rounds in range(looks.first, looks.most + 1):
        due = spending(rounds / looks.most)
        boundary = _boundary(sums, masses, deviation, due - spent, 40.0 * math.sqrt(rounds))
        found.append(math.erfc(boundary / math.sqrt(2.0 * rounds)))
        nodes = boundary * _NODES
        steps = (nodes[:, None] - sums[None, :]) / deviation
        density = np.exp(-0.5 * steps**2) @ masses / (deviation * math.sqrt(2.0 * math.pi))
        sums, masses, spent, deviation = nodes, density * boundary * _WEIGHTS, due, 1.0
    return tuple(found)


def _boundary(
    sums: _Array, masses: _Array, deviation: float, probability: float, high: float
) -> float:
    """Return the bound that the next sum's absolute value exceeds with this probability."""
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2.0
        # The sums are symmetric about 0: both sides are crossed equally often.
        if float(_both_tails((middle - sums) / deviation) @ masses) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _both_tails(values: _Array) -> _Array:
    """Return twice the probability that a standard normal variable is above each value."""
    return np.array([math.erfc(value) for value in values / math.sqrt(2.0)])
