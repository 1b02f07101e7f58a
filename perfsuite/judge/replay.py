"""Gates replayed on noise that was measured: how often a change of a known size comes out red.

Each replayed gate draws its rounds, with replacement, from those that a machine has shown, and is
judged by the rules of real gates: look by look, and a second time where the first is red.

The noise is that about the known ratio: what remains of log ratios when their mean is taken off,
enlarged by sqrt(n / (n - 1)) because the mean was estimated from the same n (modified residuals,
Davison and Hinkley 1997, section 2.3 and 6.2). With the mean left in, the error of that mean would
pass for a change. How far a share may be off because the rounds were few comes from resampling
them, all variants of a round at once, and replaying gates on each resample (a bootstrap of
clusters, ibid. section 3.8; percentile interval, Efron and Tibshirani 1993).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perfsuite.domain.looks import Looks
from perfsuite.domain.verdict import Interval, VerdictStatus
from perfsuite.judge.decisions import believed, change_decided, change_verdict
from perfsuite.judge.sequential import critical_value

Noise = NDArray[np.float64]  # by round and variant of one cell: about 0
_RESAMPLES = 100


def noise_about_known(log_ratios: Sequence[Sequence[float]]) -> Noise:
    """Return the noise of a cell's variants, of which each has a log ratio in every round."""
    found: Noise = np.asarray(log_ratios, dtype=np.float64).T
    rounds = len(found)
    scaled: Noise = (found - found.mean(axis=0)) * math.sqrt(rounds / (rounds - 1))
    return scaled


class Replay:
    """Replays gates of one plan and one floor on the noise of several cells.

    `gates` is how many of each cell are replayed at a time. It is seeded: the same noise gives the
    same shares.
    """

    def __init__(self, cells: Sequence[Noise], looks: Looks, floor: float, gates: int) -> None:
        self._cells, self._looks, self._floor, self._gates = cells, looks, floor, gates
        self._reach = [
            critical_value(looks, rounds) / math.sqrt(rounds)
            for rounds in range(looks.first, looks.most + 1)
        ]

    def share_of_red(self, effect: float) -> float:
        """Return the share of changes by `effect`, 0.03 for 3 % slower, that are believed red."""
        return self._share(self._cells, effect, np.random.default_rng(0))

    def interval_of_red(self, effect: float) -> Interval:
        """Return that share, with the interval that the number of measured rounds leaves."""
        rng = np.random.default_rng(1)
        value = self.share_of_red(effect)
        shares = []
        for _ in range(_RESAMPLES):
            drawn = [cell[rng.integers(len(cell), size=len(cell))] for cell in self._cells]
            shares.append(self._share(drawn, effect, rng))
        low, high = np.percentile(shares, [2.5, 97.5])
        return Interval(value, min(float(low), value), max(float(high), value))

    def _share(self, cells: Sequence[Noise], effect: float, rng: np.random.Generator) -> float:
        red = 0
        for noise in cells:
            firsts = self._verdicts(noise, effect, rng, self._gates)
            suspects = sum(status == "regressed" for status in firsts)
            seconds = self._verdicts(noise, effect, rng, suspects)
            red += sum(believed("regressed", again) == "regressed" for again in seconds)
        return red / (self._gates * len(cells))

    def _verdicts(
        self, noise: Noise, effect: float, rng: np.random.Generator, gates: int
    ) -> list[VerdictStatus]:
        """Return the verdicts of so many measurements of up to `looks.most` rounds each."""
        values = rng.choice(noise.ravel(), size=(gates, self._looks.most)) + math.log1p(effect)
        first = self._looks.first
        counts = np.arange(1, self._looks.most + 1)
        means = np.cumsum(values, axis=1) / counts
        squares = np.cumsum(values**2, axis=1) - counts * means**2
        spreads = np.sqrt(np.maximum(squares, 0.0) / np.maximum(counts - 1, 1))
        halves = spreads[:, first - 1 :] * self._reach
        centres = means[:, first - 1 :]
        bounds = np.expm1([centres, centres - halves, centres + halves])
        return [self._verdict(bounds[:, gate].T.tolist()) for gate in range(gates)]

    def _verdict(self, looks: list[list[float]]) -> VerdictStatus:
        for bounds in looks:
            decided = change_decided(Interval(*bounds), self._floor)
            if decided is not None:
                return decided
        return change_verdict(Interval(*looks[-1]), self._floor)
