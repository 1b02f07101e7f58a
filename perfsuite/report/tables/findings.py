"""What is wrong with the libraries underneath, in which cells, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Run
from perfsuite.report.tables.cell_rows import plain

TITLE = "What is wrong underneath"
COLUMNS = ("", "severity", "cell", "what is wrong", "how it is known", "how to mend it")
SYMBOLS = {"fault": "✗", "caution": "!"}
_NAMED = 3  # cells in one line


class Found(NamedTuple):
    """A finding and the keys of the cells in which it was made; none for the machine alone."""

    finding: Finding
    cells: tuple[str, ...]


def found_in(run: Run) -> list[Found]:
    """Return what was found in all cells of a run, each thing once, the faults first."""
    records = [run.records[cell.id] for cell in run.header.cells if cell.id in run.records]
    return together(
        (finding, record.cell.key)
        for record in records
        if record.evidence is not None
        for finding in record.evidence.findings
    )


def together(findings: Iterable[tuple[Finding, str]]) -> list[Found]:
    """Return each finding once, with all keys that it stands beside, the faults first.

    An empty key, of what was found in the machine, is left out.
    """
    cells: dict[Finding, dict[str, None]] = {}
    for finding, key in findings:
        cells.setdefault(finding, {}).update({key: None} if key else {})
    one_by_one = [Found(finding, tuple(keys)) for finding, keys in cells.items()]
    return sorted(one_by_one, key=lambda one: one.finding.severity != "fault")


def where(one: Found) -> str:
    """Return the cells that a finding was made in, or whose it is if it is the machine's."""
    if not one.cells:
        return plain(one.finding.about)
    named = ", ".join(map(plain, one.cells[:_NAMED]))
    more = len(one.cells) - _NAMED
    return named + (f" and {more} more" if more > 0 else "")


def sentences(one: Found) -> tuple[str, str]:
    """Return two lines for a terminal: what is wrong and where, and how to mend it."""
    finding = one.finding
    wrong = f"{finding.severity}: {where(one)}: {plain(finding.message)} ({finding.how})"
    return wrong, f"fix: {plain(finding.fix)}"


def lines(found: Sequence[Found]) -> list[tuple[str, ...]]:
    """Return the lines of a table, in the order of `COLUMNS`."""
    return [
        (
            SYMBOLS[one.finding.severity],
            one.finding.severity,
            where(one),
            one.finding.message,
            one.finding.how,
            one.finding.fix,
        )
        for one in found
    ]
