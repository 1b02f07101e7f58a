"""Accuracies by a task's further metrics, one row for each cell, for terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.judge import CellChange
from perfsuite.report.tables.cell_rows import CellRow, short_key
from perfsuite.report.tables.texts import loss_text, metric_text, share_text

TITLE = "The same answers by other metrics"


def metrics(group: Sequence[CellRow]) -> list[str]:
    """Return the further metrics of one workload's rows, in the order of its task."""
    return list(dict.fromkeys(one.metric for row in group for one in row.other_accuracies))


def columns(group: Sequence[CellRow]) -> tuple[str, ...]:
    """Return the heads of the columns: each metric with its points lost."""
    named = {
        one.metric: metric_text(one.metric, row) for row in group for one in row.other_accuracies
    }
    return ("cell", *(head for name in named.values() for head in (name, "points lost")))


def lines(group: Sequence[CellRow]) -> list[tuple[str, ...]]:
    """Return the texts of each row that was evaluated, in the order of `columns`."""
    asked = metrics(group)
    return [
        (short_key(row), *(text for metric in asked for text in _texts(row, metric)))
        for row in group
        if row.other_accuracies
    ]


def loss_notes(change: CellChange) -> list[str]:
    """Return the loss of a cell between two runs by each further metric: `top5: 0.25 points`."""
    return [
        f"{metric}: {loss_text(lost)} points lost" for metric, lost in change.other_losses.items()
    ]


def _texts(row: CellRow, metric: str) -> tuple[str, str]:
    found = next((one for one in row.other_accuracies if one.metric == metric), None)
    return ("", "") if found is None else (share_text(found.value), loss_text(found.loss_points))
