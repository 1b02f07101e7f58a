"""The rules by which a search chooses: pure functions of what was found on validation samples.

A candidate keeps a limit if its estimate does so with one standard error to spare, which is right
five times in six, and breaks it if it does so by one standard error. The final verdict, by 95 %
intervals on the test samples, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfsuite.domain.optimum import Goal
from perfsuite.search.scores import Score
from perfsuite.search.ways import Way

_WAYS = 2  # in which recipes are tried, beside the fastest in floating point


def is_fast(one: Score, goal: Goal) -> bool:
    """Tell whether a candidate is as fast as asked."""
    return one.speedup is not None and one.speedup.low >= goal.speedup


def is_too_slow(one: Score, goal: Goal) -> bool:
    """Tell whether a candidate is surely slower than asked."""
    return one.speedup is not None and one.speedup.high < goal.speedup


def keeps_accuracy(one: Score, goal: Goal) -> bool:
    """Tell whether a candidate loses no more than is allowed."""
    return one.loss is not None and one.loss.high <= goal.max_drop_points


def loses_too_much(one: Score, goal: Goal) -> bool:
    """Tell whether a candidate surely loses more than is allowed."""
    return one.loss is not None and one.loss.low > goal.max_drop_points


def winner(scores: Sequence[Score], goal: Goal, *, blind: bool = False) -> Score | None:
    """Return the fastest candidate that keeps both limits; None if there is none.

    A `blind` search has no validation samples. Then it is the first in the order of the table, from
    the least compression on, that is as fast as asked: nobody has chosen it by its answers.
    """
    fast = [one for one in scores if is_fast(one, goal)]
    if blind:
        return next(iter(fast), None)
    return _fastest(one for one in fast if keeps_accuracy(one, goal))


def nearest(scores: Sequence[Score], goal: Goal, *, blind: bool = False) -> Score | None:
    """Return the candidate that comes nearest to the target, where none keeps both limits.

    It is the fastest that keeps the accuracy. If none does, it is the one that loses least.
    """
    measured = [one for one in scores if one.speedup is not None]
    if blind:
        return _fastest(measured)
    known = [one for one in measured if one.loss is not None]
    kept = _fastest(one for one in known if keeps_accuracy(one, goal))
    return kept or min(known, key=lambda one: one.loss.value if one.loss else 0.0, default=None)


def front(scores: Iterable[Score]) -> list[Score]:
    """Return the Pareto front, the fastest first: what no other candidate beats in everything.

    Compared are the estimates of speed-up and loss, and the size. What lacks one of the first two
    is not on it, nor what is not faster than the reference by a standard error.
    """
    faster = [one for one in scores if one.speedup is not None and one.speedup.low > 1.0]
    whole = [one for one in faster if one.loss is not None]
    best = [one for one in whole if not any(_beats(other, one) for other in whole)]
    return sorted(best, key=lambda one: -_merits(one)[0])


def _beats(one: Score, other: Score) -> bool:
    """Tell whether `one` is better in something and worse in nothing."""
    mine, its = _merits(one), _merits(other)
    return mine != its and all(a >= b for a, b in zip(mine, its, strict=True))


def _merits(one: Score) -> tuple[float, float, float]:
    speedup = one.speedup.value if one.speedup is not None else 0.0
    loss = one.loss.value if one.loss is not None else 0.0
    return speedup, -loss, -(one.size_bytes or 0.0)


def _fastest(scores: Iterable[Score]) -> Score | None:
    return max(scores, key=lambda one: _merits(one)[0], default=None)


def worthwhile(plain: Iterable[Score], goal: Goal) -> list[Way]:
    """Return the ways in which recipes are tried, the fastest first, from those of the plain net.

    They are the two fastest that do not lose too much by themselves, and the fastest in floating
    point, if they are at least half as fast as the fastest: rounding may lose too much of what a
    recipe leaves.
    """
    able = [one for one in plain if one.speedup is not None and not loses_too_much(one, goal)]
    able.sort(key=lambda one: -_merits(one)[0])
    floating = [one for one in able if not one.way.rounds]
    chosen = [one for one in able if one in able[:_WAYS] or one in floating[:1]]
    return [one.way for one in chosen if _merits(one)[0] >= _merits(able[0])[0] / 2.0]
