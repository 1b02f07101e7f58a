"""A sketch of what a search has found: speed-ups to the right, losses upwards, both limits."""

from __future__ import annotations

import math

from perfsuite.domain.optimum import Candidate, Optimum
from perfsuite.report import words

WIDTH, HEIGHT = 60, 9
_FEWEST = 3  # candidates, below which there is nothing to see
_HIGHEST = 3.0  # times the limit on the loss: what loses more stands in the highest line


def sketch(found: Optimum) -> list[str]:
    """Return the lines of the sketch; none for fewer than three candidates.

    `*` is the best, `+` the Pareto front, `o` what is on neither; lines are the limits. Speed-ups
    are on a logarithmic scale, losses those on the validation samples.
    """
    shown = [
        (one, one.speedup.value, one.loss_points.value)
        for one in found.candidates
        if one.speedup is not None and one.loss_points is not None and not one.untrained
    ]
    if len(shown) < _FEWEST:
        return []
    goal = found.goal
    top = _HIGHEST * goal.max_drop_points or max(loss for _, _, loss in shown) or 1.0
    bottom = min(0.0, *(loss for _, _, loss in shown))
    speeds = [goal.speedup, *(speedup for _, speedup, _ in shown)]
    left, right = math.log(min(speeds)), math.log(max(speeds))

    def column(speedup: float) -> int:
        return round((math.log(speedup) - left) / (right - left or 1.0) * (WIDTH - 1))

    def line(loss: float) -> int:
        return round((top - min(loss, top)) / (top - bottom) * (HEIGHT - 1))

    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    grid[line(goal.max_drop_points)] = ["-"] * WIDTH
    for row in grid:
        row[column(goal.speedup)] = "|"
    for one, speedup, loss in sorted(shown, key=lambda each: _rank(each[0], found)):
        grid[line(loss)][column(speedup)] = "o+*"[_rank(one, found)]
    labels = {0: words.points(top), line(goal.max_drop_points): words.points(goal.max_drop_points)}
    drawn = [
        f"{labels.get(number, ''):>6} {''.join(row)}".rstrip() for number, row in enumerate(grid)
    ]
    ends = words.times(math.exp(left)), words.times(math.exp(right))
    return [*drawn, f"{'points':>6} {ends[0]}{ends[1]:>{WIDTH - len(ends[0])}}"]


def _rank(one: Candidate, found: Optimum) -> int:
    """Return 2 for the best, 1 for the front, 0 for others: what is drawn last is seen."""
    return 2 if one.key == found.best else int(one.front)
