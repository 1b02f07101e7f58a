"""Metrics that the table of cells has no place for, such as those of a plug-in meter."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.metrics import Metric
from perfsuite.judge import CellChange
from perfsuite.report import words
from perfsuite.report.tables.cell_rows import CellRow, short_key
from perfsuite.report.tables.texts import change_text

TITLE = "Also measured"


def metrics(group: Sequence[CellRow]) -> dict[str, Metric]:
    """Return the further metrics that have a column, by name: those of which a cell has a value."""
    found = (one.metric for row in group for one in row.other_metrics)
    return {metric.name: metric for metric in found if metric.column}


def columns(group: Sequence[CellRow]) -> tuple[str, ...]:
    """Return the heads of the columns."""
    return ("cell", *(metric.heading for metric in metrics(group).values()))


def lines(group: Sequence[CellRow]) -> list[tuple[str, ...]]:
    """Return the texts of each row that has such a value, in the order of `columns`."""
    names = metrics(group)
    return [
        (short_key(row), *(_text(row, name) for name in names))
        for row in group
        if any(one.metric.name in names for one in row.other_metrics)
    ]


def change_notes(change: CellChange) -> list[str]:
    """Return how each metric changed that surely did between two runs: `energy_j: -20 %`."""
    return [
        f"{name}: {change_text(ratio)}"
        for name, ratio in change.other_ratios.items()
        if not ratio.low <= 1.0 <= ratio.high
    ]


def _text(row: CellRow, name: str) -> str:
    found = next((one for one in row.other_metrics if one.metric.name == name), None)
    if found is None:
        return ""
    unit, around = found.metric.unit, found.interval

    def show(value: float) -> str:
        return words.quantity(value, unit)

    return show(found.value) + (words.spread(around, show) if around else "")
