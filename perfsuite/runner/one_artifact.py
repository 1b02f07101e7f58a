"""All jobs on a cell of a run are done on the same artifact."""

from __future__ import annotations

from perfsuite.domain.record import Line
from perfsuite.errors import Incomparable
from perfsuite.store.journal import Journal


class OneArtifact:
    """Knows the artifact that each cell was prepared as, also in earlier sittings."""

    def __init__(self, journal: Journal) -> None:
        self._folder = journal.folder
        self._keys = {
            (line.cell, line.baseline): line.artifact
            for line in journal.lines
            if line.job == "prepare" and line.status == "ok"
        }

    def check(self, line: Line) -> None:
        """Raise `Incomparable` if `line` prepared another artifact than the run began with."""
        if line.job != "prepare" or line.status != "ok":
            return
        if self._keys.setdefault((line.cell, line.baseline), line.artifact) != line.artifact:
            raise Incomparable(
                f"{self._folder}: the artifact of {line.key} that this run began with is no longer "
                f"in the cache, and what is built now is another one, because its source, weights "
                f"or libraries have changed; start a new run"
            )
