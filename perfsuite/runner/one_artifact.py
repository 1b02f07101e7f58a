"""All jobs on a cell are done on the same artifact, and all cells of a workload have one model."""

from __future__ import annotations

from perfsuite.domain.record import Line
from perfsuite.errors import Incomparable
from perfsuite.store.journal import Journal


class OneArtifact:
    """Knows what each cell was prepared as, and of which model, also in earlier sittings."""

    def __init__(self, journal: Journal) -> None:
        self._folder = journal.folder
        self._workloads = {cell.id: cell.workload for cell in journal.header.cells}
        prepared = [line for line in journal.lines if line.job == "prepare" and line.status == "ok"]
        self._keys = {(line.cell, line.baseline): line.artifact for line in prepared}
        self._models = {
            self._workloads[line.cell]: line.model
            for line in prepared
            if line.model and line.cell in self._workloads
        }

    def check(self, line: Line) -> None:
        """Raise `Incomparable` if `line` prepared another artifact, or is of another model."""
        if line.job != "prepare" or line.status != "ok":
            return
        if self._keys.setdefault((line.cell, line.baseline), line.artifact) != line.artifact:
            raise Incomparable(
                f"{self._folder}: the artifact of {line.key} that this run began with is no longer "
                f"in the cache, and what is built now is another one, because its source, weights "
                f"or libraries have changed; start a new run"
            )
        workload = self._workloads[line.cell]
        if line.model and self._models.setdefault(workload, line.model) != line.model:
            raise Incomparable(
                f"{self._folder}: the weights of {workload} have changed since its first cell was "
                f"prepared: {line.key} would be of another model; put back the file that they are "
                f"read from and go on with --resume, or start a new run in another folder (-o)"
            )
