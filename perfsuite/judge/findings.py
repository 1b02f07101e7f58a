"""What was found wrong in the cells of a run, each thing once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Run
from perfsuite.judge.across import loses_elsewhere


class Found(NamedTuple):
    """A finding and the keys of the cells in which it was made; none for the machine alone."""

    finding: Finding
    cells: tuple[str, ...]


def found_in(run: Run) -> list[Found]:
    """Return what was found in all cells of a run, each thing once, the faults first."""
    records = [run.records[cell.id] for cell in run.header.cells if cell.id in run.records]
    in_cells = [
        (finding, record.cell.key)
        for record in records
        if record.evidence is not None
        for finding in record.evidence.findings
    ]
    return together((*in_cells, *loses_elsewhere(run)))


def together(findings: Iterable[tuple[Finding, str]]) -> list[Found]:
    """Return each finding once, with all keys that it stands beside, the faults first.

    An empty key, of what was found in the machine, is left out.
    """
    cells: dict[Finding, dict[str, None]] = {}
    for finding, key in findings:
        cells.setdefault(finding, {}).update({key: None} if key else {})
    one_by_one = [Found(finding, tuple(keys)) for finding, keys in cells.items()]
    return sorted(one_by_one, key=lambda one: one.finding.severity != "fault")
