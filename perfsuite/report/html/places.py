"""The ids of places on the page that others lead to."""

from __future__ import annotations

from perfsuite.domain.cell import Cell


def cell_place(cell: Cell) -> str:
    """Return the id of a cell's row."""
    return f"cell-{cell.id}"


def latency_place(cell: Cell) -> str:
    """Return the id of a cell's latencies."""
    return f"latencies-{cell.id}"


def breakdown_place(cell: Cell) -> str:
    """Return the id of a cell's breakdown."""
    return f"breakdown-{cell.id}"
