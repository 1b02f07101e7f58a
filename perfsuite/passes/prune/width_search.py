"""How many channels each group keeps: the same share, the most important of all, or by the clock.

The last is greedy, as NetAdapt (Yang et al. 2018, arXiv:1804.03230) is: it repeats the step that
loses the least importance for each second that it gains on the target engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.passes.prune.costs import Costs, Widths
from perfsuite.passes.prune.importance import GroupWidth, Scores, best

Share = Callable[[Widths], float]  # the cost at these widths, relative to the whole model's
_HALVINGS = 20
_NARROWEST = 8  # between two widths that are tried; no engine has kernels for fewer channels
_TRIED = 8  # widths of a group, about
_NO_LOSS = 1e-9  # the least loss; between steps with no more than that, the gain decides
_WORTH = 0.1  # of a group's time; a smaller gain may be an error of the clock


def solve(
    make: Callable[[float], dict[str, int]], cost: Share, limit: float, why: str = ""
) -> dict[str, int]:
    """Return `make(share)` for the greatest share of channels whose cost is at most `limit`.

    Raises `BuildError`, with `why`, where even the narrowest widths cost more.
    """
    low, high = 0.0, 1.0
    if cost(make(low)) > limit:
        raise unreachable(cost(make(low)), limit, why)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(make(middle)) <= limit else (low, middle)
    return make(low)


def unreachable(least: float, limit: float, why: str = "") -> BuildError:
    """Return the error for a target that pruning all that can be pruned does not reach."""
    return BuildError(
        f"prune: what can be pruned brings the cost down to {least:.3f} of the whole, and "
        f"{limit:.3f} is asked for{why}; ask for less, or let more layers be pruned"
    )


def coarse(costs: Costs, round_to: int) -> str:
    """Return that multiples of `round_to` leave little to choose from; '' if it is 1."""
    if round_to == 1:
        return ""
    least, most = min(costs.full.values()), max(costs.full.values())
    return (
        f", while round_to = {round_to} keeps multiples of so many channels, of layers that have "
        f"{least}{f' to {most}' if most > least else ''}: a smaller round_to leaves more to choose "
        f"from"
    )


def uniform(costs: Costs, share: float, round_to: int) -> dict[str, int]:
    """Return widths with `share` of the channels of every group."""
    return {name: _rounded(full * share, full, round_to) for name, full in costs.full.items()}


def pooled(costs: Costs, scores: Scores, share: float, round_to: int) -> dict[str, int]:
    """Return widths with the most important `share` of all channels, in whichever groups.

    Scores count relative to the mean of their group, because their scale differs between layers.
    """
    scores = {name: values / (values.mean() or 1.0) for name, values in scores.items()}
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
    """Narrows groups step by step, by the importance lost for each second gained.

    `times_s` has the seconds of each group at the widths that it may have, and `lost` the
    importance lost there, both with all other groups whole. Once others are narrower, the gain of a
    step is scaled by the multiply-accumulates that it still saves.
    """

    def __init__(
        self, costs: Costs, lost: Mapping[GroupWidth, float], times_s: Mapping[GroupWidth, float]
    ) -> None:
        self.costs, self.lost, self.times_s = costs, lost, times_s
        self.widths, self.gained_s = dict(costs.full), 0.0
        self.choices: dict[str, list[int]] = {name: [] for name in costs.full}
        for name, width in times_s:
            self.choices[name].append(width)

    def narrow(self, cost: Callable[[], float], limit: float) -> dict[str, int]:
        """Return the widths after as many steps as bring `cost` down to `limit`.

        Raises `BuildError` when no further step gains time.
        """
        while (now := cost()) > limit:
            step = self._best()
            if step is None:
                raise unreachable(
                    now,
                    limit,
                    ", but no narrower layer would save more time ("
                    f"narrower than {_NARROWEST} channels none is tried)",
                )
            name, width = step
            self.gained_s += self._gain_s(name, width)
            self.widths[name] = width
        return dict(self.widths)

    def _best(self) -> tuple[str, int] | None:
        """Return the group and its new width that lose least importance for a second."""
        best: tuple[str, int] | None = None
        least = np.inf
        for name, now in self.widths.items():
            for width in self.choices[name]:
                gain_s = self._gain_s(name, width) if width < now else 0.0
                if gain_s > 0 and (rate := self._loss(name, width) / gain_s) < least:
                    best, least = (name, width), rate
        return best

    def _loss(self, name: str, width: int) -> float:
        return max(self.lost[name, width] - self.lost[name, self.widths[name]], _NO_LOSS)

    def _gain_s(self, name: str, width: int) -> float:
        now, full = self.widths[name], self.costs.full
        measured_s = self.times_s[name, now] - self.times_s[name, width]
        if measured_s <= 0 or measured_s < _WORTH * self.times_s[name, now]:
            return 0.0
        then = self._saved(name, {**full, name: now}, width)
        return measured_s * self._saved(name, self.widths, width) / then

    def _saved(self, name: str, widths: Widths, width: int) -> float:
        before = self.costs.group_macs(name, widths)
        return before - self.costs.group_macs(name, {**widths, name: width})


def tried(costs: Costs, name: str) -> list[int]:
    """Return the widths to try for a group: about eight, its full width, and 0 if removable."""
    full = costs.full[name]
    least = max(1, _NARROWEST // costs.each[name])
    step = max(least, round(full / _TRIED / least) * least)
    return [*range(0 if costs.groups[name].removable else step, full, step), full]


Scope = Literal["uniform", "global", "clock"]


def keep_best(scores: Scores, widths: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the most important channels of each group, as many as its width, ascending."""
    return {name: best(scores[name], width) for name, width in widths.items()}
