"""Whether a training has diverged: its loss has exploded, or weights are not finite."""

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
    """The recent losses of a training, and whether it diverges by them.

    A loss has *exploded* when its mean over the last steps (50, or an epoch if that is shorter, at
    least 10) exceeds the first loss + 10 times the best (of the first and of such means) + 30. The
    rises that belong to a schedule (a rising rate, a restart, larger pictures) stay far below this,
    and a loss that explodes passes any limit within a few dozen steps.

    The loss of a net with normalized activations seldom explodes; the net forgets instead. For a
    classifier, the loss of a net whose scores are equal for all classes is known. A training has
    *collapsed* when its first loss, or the median over 50 earlier steps, was less than half of that
    loss, and the median over the last 50 steps exceeds it.
    """

    def __init__(self, steps: int, seen: Mapping[str, Any] | None = None) -> None:
        """Begin with `steps` steps per epoch, or go on from a stored `state`."""
        seen = seen or {"first": None, "best_mean": inf, "best_median": inf, "last": ()}
        self._first: float | None = seen["first"]
        self._best_mean: float = seen["best_mean"]
        self._best_median: float = seen["best_median"]
        self._last = deque[float](seen["last"], maxlen=_LONGEST)
        self._window = min(max(steps, _SHORTEST), _LONGEST)

    def state(self) -> dict[str, Any]:
        """Return, as plain data, what a checkpoint must store to go on."""
        return {
            "first": self._first,
            "best_mean": self._best_mean,
            "best_median": self._best_median,
            "last": list(self._last),
        }

    def add(self, loss: float, blind: float | None = None) -> str:
        """Return how the training has diverged with this `loss`, in words; '' if it has not.

        `blind` is the loss, at this step, of a net whose scores are equal for all classes; None if
        it is not known.
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
    """Return the name of the first parameter that is not finite; '' if all are."""
    for name, weight in module.named_parameters():
        if not weight.detach().isfinite().all():
            return name
    return ""
