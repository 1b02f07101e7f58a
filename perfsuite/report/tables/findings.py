"""What is wrong with the libraries underneath, in which cells, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.judge.findings import Found
from perfsuite.libraries.faults.machine import MACHINE
from perfsuite.report.tables.cell_rows import plain

TITLE = "What is wrong underneath"
COLUMNS = ("", "severity", "cell", "what is wrong", "how it is known", "how to mend it")
SYMBOLS = {"fault": "✗", "caution": "!"}
_NAMED = 3  # cells in one line


def where(one: Found) -> str:
    """Return the cells that a finding was made in, or whose it is if no cell is to blame."""
    if not one.cells or one.finding.about == MACHINE:
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
