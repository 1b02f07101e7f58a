"""How many channels every group keeps: the same share of each, the best of all, or the clock's way.

The last one is greedy, as NetAdapt (Yang et al. 2018, arXiv:1804.03230) is: again and again the
step is taken that loses least importance for each second that it gains on the target engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.passes.costs import Clock, Costs, Widths
from perfsuite.passes.importance import Scores

Share = Callable[[Widths], float]  # of what the whole model costs
_HALVINGS = 20
_NARROWEST = 8  # steps between widths that are tried: no engine has kernels for fewer channels
_TRIED = 8  # widths of a group


def solve(make: Callable[[float], dict[str, int]], cost: Share, limit: float) -> dict[str, int]:
    """Return what `make` gives for the greatest share of channels that costs at most `limit`.

    Raises `BuildError` where even the narrowest costs more.
    """
    low, high = 0.0, 1.0
    if cost(make(low)) > limit:
        raise unreachable(cost(make(low)), limit)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(make(middle)) <= limit else (low, middle)
    return make(low)


def unreachable(least: float, limit: float) -> BuildError:
    """Return the error for a target that the layers that can be pruned do not reach."""
    return BuildError(
        f"prune: what can be pruned brings the cost down to {least:.3f} of the whole, and "
        f"{limit:.3f} is asked for; ask for less, or let more layers be pruned"
    )


def uniform(costs: Costs, share: float, round_to: int) -> dict[str, int]:
    """Return widths with `share` of the channels of every group."""
    return {name: _rounded(full * share, full, round_to) for name, full in costs.full.items()}


def pooled(costs: Costs, scores: Scores, share: float, round_to: int) -> dict[str, int]:
    """Return widths with the best `share` of all channels, whichever groups they are of."""
    everything = np.sort(np.concatenate([scores[name] for name in costs.full]))
    start = min(len(everything) - 1, round(len(everything) * (1 - share)))
    least = everything[start]
    return {
        name: _rounded(float((scores[name] >= least).sum()), full, round_to)
        for name, full in costs.full.items()
    }


def _rounded(wanted: float, full: int, multiple: int) -> int:
    """Return the multiple nearest to `wanted`, at least one channel and at most all of them."""
    nearest = round(wanted / multiple) * multiple
    return min(full, max(nearest, min(multiple, full), 1))


class ByClock:
    """Narrows one group after the other, by what its channels matter and its layers take."""

    def __init__(self, costs: Costs, scores: Scores, clock: Clock) -> None:
        self.costs, self.clock = costs, clock
        self.widths = dict(costs.full)
        # lost[name][n] is the importance of the n channels that matter least.
        self.lost = {
            name: np.concatenate([[0.0], np.cumsum(np.sort(values))])
            for name, values in scores.items()
        }

    def narrow(self, cost: Share, limit: float) -> dict[str, int]:
        """Go on until `cost` is at most `limit`; return the widths.

        Raises `BuildError` when no step gains time any more.
        """
        while (now := cost(self.widths)) > limit:
            step = self._best()
            if step is None:
                raise unreachable(now, limit)
            name, width = step
            self.widths[name] = width
        return dict(self.widths)

    def time_share(self, widths: Widths) -> float:
        """Return the time of all layers at `widths`, as a share of their time at full width."""
        return self._time_s(widths) / self._time_s(self.costs.full)

    def _time_s(self, widths: Widths) -> float:
        wanted = [(path, self.costs.size(path, widths)) for path in self.costs.layers]
        self.clock.learn(wanted)
        return sum(self.clock.time_s(path, size) for path, size in wanted)

    def _best(self) -> tuple[str, int] | None:
        """Return the group and its new width that lose least importance for a second."""
        moves = [(name, width) for name in self.costs.full for width in self._narrower(name)]
        self.clock.learn(
            (path, self.costs.size(path, widths))
            for name, width in moves
            for widths in (self.widths, {**self.widths, name: width})
            for path in self.costs.touched(name)
        )
        best: tuple[str, int] | None = None
        least = np.inf
        for name, width in moves:
            gained_s = self._group_s(name, self.widths) - self._group_s(
                name, {**self.widths, name: width}
            )
            full = self.costs.full[name]
            lost = self.lost[name][full - width] - self.lost[name][full - self.widths[name]]
            if gained_s > 0 and lost / gained_s < least:
                best, least = (name, width), lost / gained_s
        return best

    def _group_s(self, name: str, widths: Widths) -> float:
        paths = self.costs.touched(name)
        return sum(self.clock.time_s(path, self.costs.size(path, widths)) for path in paths)

    def _narrower(self, name: str) -> list[int]:
        """Return the widths that a group is tried at: some eight steps, and none where it may go."""
        full, now = self.costs.full[name], self.widths[name]
        step = max(_NARROWEST, round(full / _TRIED / _NARROWEST) * _NARROWEST)
        least = 0 if self.costs.groups[name].removable else step
        return [width for width in range(least, now, step) if width < now]


Scope = Literal["uniform", "global", "clock"]


def keep_best(scores: Scores, widths: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the channels of each group that stay: those that matter most, in ascending order."""
    kept = {}
    for name, width in widths.items():
        order = np.argsort(-scores[name], kind="stable")
        kept[name] = sorted(int(channel) for channel in order[:width])
    return kept
