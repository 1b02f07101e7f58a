"""Whether a training has gone astray: a loss that explodes, weights that are no numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf, isfinite
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_LONGEST, _SHORTEST = 50, 10  # steps that a loss is averaged over
_TIMES, _MARGIN = 10.0, 30.0


class Losses:
    """The losses of a training so far, as much of them as tells whether it diverges.

    Whatever the loss, it *explodes* when its mean over the last steps (50, or an epoch if that is
    shorter, at least 10) exceeds the first loss + 10 times the best (of the first and of such
    means) + 30. That is far above the rises that belong to a schedule (the rate's own, a restart,
    larger pictures), and a loss that explodes passes any limit within a few dozen steps.

    A net with normalized activations seldom explodes: it forgets. For a classifier it is known what
    a net loses that scores all classes alike. Its training has *collapsed* when the first loss, or
    the median over some 50 steps, was less than half of that, and that of the last 50 is more.
    """

    def __init__(self, steps: int, seen: Mapping[str, Any] | None = None) -> None:
        """Begin anew, with `steps` steps an epoch, or go on from what `state` gave."""
        seen = seen or {"first": None, "best_mean": inf, "best_median": inf, "last": ()}
        self._first: float | None = seen["first"]
        self._best_mean: float = seen["best_mean"]
        self._best_median: float = seen["best_median"]
        self._last = deque[float](seen["last"], maxlen=_LONGEST)
        self._window = min(max(steps, _SHORTEST), _LONGEST)

    def state(self) -> dict[str, Any]:
        """Return, as plain data, what a checkpoint has to keep of it."""
        return {
            "first": self._first,
            "best_mean": self._best_mean,
            "best_median": self._best_median,
            "last": list(self._last),
        }

    def add(self, loss: float, blind: float | None = None) -> str:
        """Return what is wrong now that `loss` has come, in words; nothing while all is well.

        `blind` is what a net loses at this step that scores all classes alike, if that is known.
        """
        if not isfinite(loss):
            return f"the loss became {loss}"
        if self._first is None:
            self._first = self._best_mean = self._best_median = loss
        self._last.append(loss)
        return self._exploded(self._first) or self._collapsed(blind)

    def _exploded(self, first: float) -> str:
        if len(self._last) < self._window:
            return ""
        mean = fmean(list(self._last)[-self._window :])
        self._best_mean = best = min(mean, self._best_mean)
        if mean <= abs(first) + _TIMES * abs(best) + _MARGIN:
            return ""
        return f"the loss, {best:.3g} at best, became {mean:.3g} (mean of {self._window} steps)"

    def _collapsed(self, blind: float | None) -> str:
        if len(self._last) < _LONGEST:
            return ""
        middle = median(self._last)
        self._best_median = best = min(middle, self._best_median)
        if blind is None or middle <= blind or best >= blind / 2:
            return ""
        return (
            f"the loss, {best:.3g} at best, became {middle:.3g} (median of {_LONGEST} steps), and "
            f"{blind:.3g} is that of scoring all classes alike,"
        )


def stray_weight(module: nn.Module) -> str:
    """Return the name of the first parameter that is not finite, else nothing."""
    for name, weight in module.named_parameters():
        if not weight.detach().isfinite().all():
            return name
    return ""
