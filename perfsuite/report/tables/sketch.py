"""A sketch of what was found: speed-ups to the right, losses upwards, both limits as lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from perfsuite.domain.optimum import Candidate, Optimum
from perfsuite.domain.verdict import Verdict
from perfsuite.report import words
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key

WIDTH, HEIGHT = 60, 9
_FEWEST = 3  # candidates, below which there is nothing to see
_HIGHEST = 3.0  # times the limit on the loss: what loses more stands in the highest line


class _Point(NamedTuple):
    rank: int  # the larger one is drawn over the smaller one
    speedup: float
    loss: float


def sketch(found: Optimum) -> list[str]:
    """Return the lines of the sketch; none for fewer than three candidates.

    `*` is the best, `+` the Pareto front, `o` what is on neither; lines are the limits. Speed-ups
    are on a logarithmic scale, losses those on the validation samples.
    """
    shown = [
        _Point(_rank(one, found), one.speedup.value, one.loss_points.value)
        for one in found.candidates
        if one.speedup is not None and one.loss_points is not None and not one.untrained
    ]
    return _drawn(shown, found.goal.speedup, found.goal.max_drop_points)


def sketch_of(group: Sequence[CellRow], verdicts: Sequence[Verdict]) -> list[str]:
    """Return the sketch of a workload's cells, below it which are on the Pareto front.

    The limits are the tightest that budgets set on the speed-up and on the points lost.
    """
    shown = _placed(group)
    front = pareto_front(group)
    keys = {row.key for row in group}
    held = [one for one in verdicts if one.cell in keys and one.limit is not None]
    speeds = [one.limit or 0.0 for one in held if one.check == "min_speedup"]
    losses = [one.limit or 0.0 for one in held if one.check == "max_drop_points"]
    points = [_Point(int(row in front), speedup, loss) for row, speedup, loss in shown]
    drawn = _drawn(points, max(speeds, default=None), min(losses, default=None))
    if not drawn:
        return []
    names = ", ".join(plain(short_key(row)) for row in front)
    return [*drawn, f"{'':>6} + Pareto front: {names}"]


def pareto_front(group: Sequence[CellRow]) -> list[CellRow]:
    """Return the rows of which no other is both faster and more accurate."""
    shown = _placed(group)
    return [
        row
        for row, speedup, loss in shown
        if not any(
            other >= speedup and less <= loss and (other, less) != (speedup, loss)
            for _, other, less in shown
        )
    ]


def _placed(group: Sequence[CellRow]) -> list[tuple[CellRow, float, float]]:
    """Return rows with their speed-ups and losses, without those that are noise."""
    return [
        (row, row.speedup.value, row.loss_points.value)
        for row in group
        if row.speedup is not None and row.loss_points is not None
        if row.speedup.value > 0 and not words.is_noise(row.speedup)
    ]


def _drawn(
    shown: Sequence[_Point], least_speedup: float | None, most_lost: float | None
) -> list[str]:
    """Return the lines that show these points, and those of the limits; none for too few points."""
    if len(shown) < _FEWEST:
        return []
    top = _HIGHEST * (most_lost or 0.0) or max(one.loss for one in shown)
    bottom = min(0.0, *(one.loss for one in shown))
    top = top if top > bottom else bottom + 1.0
    speeds = [one.speedup for one in shown]
    speeds += [least_speedup] if least_speedup else []
    left, right = math.log(min(speeds)), math.log(max(speeds))

    def column(speedup: float) -> int:
        return round((math.log(speedup) - left) / (right - left or 1.0) * (WIDTH - 1))

    def line(loss: float) -> int:
        return round((top - min(loss, top)) / (top - bottom) * (HEIGHT - 1))

    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    labels = {0: words.points(top)}
    if most_lost is not None:
        grid[line(most_lost)] = ["-"] * WIDTH
        labels[line(most_lost)] = words.points(most_lost)
    if least_speedup:
        for row in grid:
            row[column(least_speedup)] = "|"
    for one in sorted(shown):
        grid[line(one.loss)][column(one.speedup)] = "o+*"[one.rank]
    drawn = [
        f"{labels.get(number, ''):>6} {''.join(row)}".rstrip() for number, row in enumerate(grid)
    ]
    ends = words.times(math.exp(left)), words.times(math.exp(right))
    return [*drawn, f"{'points':>6} {ends[0]}{ends[1]:>{WIDTH - len(ends[0])}}"]


def _rank(one: Candidate, found: Optimum) -> int:
    """Return 2 for the best, 1 for the front, 0 for others: what is drawn last is seen."""
    return 2 if one.key == found.best else int(one.front)
