"""All jobs of a run on one kind of device are done on the same one."""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import told_apart
from perfsuite.domain.record import Line
from perfsuite.errors import Incomparable
from perfsuite.store.journal import Journal


class OneDevice:
    """Knows which processor or card each device of a runtime was, also in earlier sittings."""

    def __init__(self, journal: Journal) -> None:
        cells = {cell.id: cell for cell in journal.header.cells}
        self._folder = journal.folder
        self._devices = {
            (cells[line.cell].runtime, cells[line.cell].device): line.device
            for line in journal.lines
            if line.device is not None and line.cell in cells
        }

    def check(self, cell: Cell, line: Line) -> None:
        """Raise `Incomparable` if `line` was done on another device than the run began with."""
        if line.device is None:
            return
        before = self._devices.setdefault((cell.runtime, cell.device), line.device)
        if before != line.device:
            then, now = told_apart(before, line.device)
            raise Incomparable(
                f"{self._folder}: this run began on another device (with {cell.runtime} "
                f"'{cell.device}' was {then} and is {now}); start a new one here"
            )
