"""Theoretical and measured speed-ups, one row for each compressed cell, for both outputs."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.judge import Gain
from perfsuite.report import words
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key
from perfsuite.report.tables.texts import faster_text, loss_text, realised_text

TITLE = "Theory beside clock"
COLUMNS = ("cell", "came from", "theory", "clock", "realised", "points lost", "parameters")
LEGEND = (
    "Theory: the MACs of what it came from / its own; clock: the measured speed-up over that; "
    "realised: clock / theory."
)


def compressed(group: Sequence[CellRow]) -> list[CellRow]:
    """Return the rows with a parent, if any of them has other MACs than its parent; else none.

    If all have the same MACs, as INT8 has, there is no theoretical speed-up.
    """
    found = [
        row
        for row in group
        if row.gain is not None and (row.gain.macs_ratio is not None or row.gain.uncounted)
    ]
    changed = any(row.gain is not None and row.gain.macs_ratio != 1.0 for row in found)
    return found if changed else []


def _theory_text(one: Gain) -> str:
    if one.macs_ratio is not None:
        return words.times(one.macs_ratio)
    return "not counted" if one.uncounted else ""


def cells(row: CellRow) -> tuple[str, ...]:
    """Return the texts of one row, in the order of `COLUMNS`; unknown values are empty."""
    one = row.gain
    if one is None:
        return (short_key(row), *[""] * (len(COLUMNS) - 1))
    return (
        short_key(row),
        plain(one.recipe),
        _theory_text(one),
        "" if one.speedup is None else faster_text(one.speedup),
        realised_text(one.realised),
        loss_text(one.loss_points),
        "" if one.parameters_ratio is None else words.part(one.parameters_ratio),
    )
