"""Which cell the others of a run are compared with where nobody says."""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Run


def ok_cells(run: Run) -> list[Cell]:
    """Return the cells that ended well, in the suite's order."""
    return [
        cell
        for cell in run.header.cells
        if (record := run.records.get(cell.id)) is not None and record.status == "ok"
    ]


def reference_cell(cell: Cell, candidates: Iterable[Cell]) -> Cell | None:
    """Return the candidate that `cell` is compared with, maybe itself; None without any.

    It is of the same workload and batch: unchanged fp32 in eager PyTorch on the same device if
    that is there, else on another, else the first.
    """
    alike = [
        other
        for other in candidates
        if (other.workload, other.batch) == (cell.workload, cell.batch)
    ]
    return min(alike, key=lambda other: _distance(other, cell), default=None)


def _distance(candidate: Cell, cell: Cell) -> tuple[bool, bool]:
    eager = (candidate.recipe, candidate.runtime, candidate.precision) == (
        "fp32",
        "pytorch",
        "fp32",
    )
    return (not eager, eager and candidate.device != cell.device)
