"""Theory beside clock: what fewer MACs promise, and what came of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics, words
from perfsuite.judge.causes import cause
from perfsuite.judge.parent import parent_cell

Pace = Literal["faster", "not proven faster", "slower"]


class Gain(msgspec.Struct, frozen=True):
    """What a compressed cell has over its parent, the cell that it came from.

    Ratios are the parent's / its own: `macs_ratio` is the theoretical speed-up, `speedup` the
    measured one, `realised` their quotient, which is None unless the MACs became fewer. What is
    not known is None. `cause` says why it is not proven faster, where the run shows it.
    """

    parent: str  # the key
    recipe: str  # the parent's
    macs_ratio: float | None = None
    parameters_ratio: float | None = None
    speedup: Interval | None = None
    realised: Interval | None = None
    loss_points: Interval | None = None
    pace: Pace | None = None
    cause: str = ""


def gain(run: Run, cell: Cell) -> Gain | None:
    """Return what `cell` has over its parent; None where either is missing or not ok."""
    parent, record = parent_cell(run, cell), run.records.get(cell.id)
    if parent is None or record is None or record.status != "ok":
        return None
    before = run.records[parent.id]
    speedup = metrics.ratio(before, record, "latency_s", "median")
    macs_ratio = metrics.counted_ratio(before, record, "macs")
    pace = _pace(speedup)
    doubted = speedup if pace != "faster" else None
    return Gain(
        parent=parent.key,
        recipe=parent.recipe,
        macs_ratio=macs_ratio,
        parameters_ratio=metrics.counted_ratio(before, record, "parameters"),
        speedup=speedup,
        realised=realised(speedup, macs_ratio),
        loss_points=metrics.known_loss(before, record),
        pace=pace,
        cause=cause(before, record, doubted) if doubted else "",
    )


def realised(speedup: Interval | None, macs_ratio: float | None) -> Interval | None:
    """Return measured / theoretical speed-up; None where the MACs became no fewer.

    MACs are counted, not measured: all of the interval is the clock's.
    """
    if speedup is None or macs_ratio is None or macs_ratio <= 1.0:
        return None
    return Interval(*(one / macs_ratio for one in (speedup.value, speedup.low, speedup.high)))


def unproven(run: Run) -> list[str]:
    """Return a warning for each compressed cell that is not proven faster than its parent."""
    found = []
    for cell in run.header.cells:
        one = gain(run, cell)
        if one is None or one.speedup is None or one.pace == "faster":
            continue
        text = (
            f"{cell.key} is {one.pace} than {one.parent}: {words.times(one.speedup.value)}"
            f"{words.spread(one.speedup, words.times)}"
        )
        found.append(f"{text}: {one.cause}" if one.cause else text)
    return found


def _pace(speedup: Interval | None) -> Pace | None:
    if speedup is None:
        return None
    if speedup.low > 1.0:
        return "faster"
    return "slower" if speedup.high < 1.0 else "not proven faster"
