"""Cells that did not end well, and whether the suite expected it."""

from __future__ import annotations

from perfsuite.config import expects
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import NO_BREAKDOWN, Record, Run
from perfsuite.domain.suite import Expect
from perfsuite.domain.verdict import Reason, Verdict, VerdictStatus

# Errors that only the user can fix, in the suite, the model or the installation. After any other
# error (a crash, a hang, a lack of memory) a cell cannot be judged.
_USERS = frozenset(
    {"ConfigError", "SchemaError", "BuildError", "ParityError", "Unsupported", "Unavailable"}
)


def expectation(run: Run, cell: Cell) -> Expect | None:
    """Return the first `[[expect]]` that selects the cell and has its status, if any.

    That a part of a net cannot be compressed alone is an answer to what a sensitivity asks.
    """
    record = run.records.get(cell.id)
    asked = run.header.suite.sensitivity is not None and cell.recipe != FP32.name
    if asked and record is not None and record.status == "unsupported":
        message = record.error.message if record.error else ""
        return Expect("unsupported", _first_line(message) or "it cannot be compressed alone")
    return next(
        (
            expect
            for expect in run.header.suite.expect
            if expects(expect, cell) and record is not None and record.status == expect.status
        ),
        None,
    )


def trouble(record: Record | None, whose: str = "") -> Reason | None:
    """Return why a cell cannot be judged; None if it can."""
    if record is None:
        return Reason("not_run", whose)
    if record.status == "ok":
        return None
    if record.status == "incomplete":
        return Reason("cut_short", whose)
    error = record.error
    text = "" if error is None else f"{error.kind}: {_first_line(error.message)}"
    return Reason("not_ok", whose, names=(record.status,), text=text)


def without_breakdown(record: Record, whose: str = "") -> Reason:
    """Return the reason of a cell without breakdown, with the cause if its evidence has it."""
    items = record.evidence.items if record.evidence else ()
    found = (_first_line(item.value) for item in items if item.name == NO_BREAKDOWN)
    return Reason("no_breakdown", whose, text=next(found, ""))


def status_verdicts(run: Run) -> list[Verdict]:
    """Return one verdict for each cell that did not end well, unless that was expected."""
    return [
        Verdict(_verdict(record), "status", cell.key, "status", "status", reason=reason)
        for cell in run.header.cells
        if (reason := trouble(record := run.records.get(cell.id)))
        and expectation(run, cell) is None
        and not _is_answer(run, cell)
    ]


def _is_answer(run: Run, cell: Cell) -> bool:
    """Tell whether a cell that ended badly has answered what the run asks.

    That an engine fails without a library is an answer to what that library is worth.
    """
    record = run.records.get(cell.id)
    asked = run.header.suite.ablation and cell.switch != ""
    return asked and record is not None and record.status != "incomplete"


def _verdict(record: Record | None) -> VerdictStatus:
    return "failed" if record is not None and record.status == "failed" else "missing"


def misconfigured(run: Run) -> bool:
    """Tell whether a cell failed by a user's mistake, or has a status that was not expected."""
    return any(
        (record.status in ("unsupported", "unavailable") or is_users(record))
        and expectation(run, cell) is None
        and not _is_answer(run, cell)
        for cell in run.header.cells
        if (record := run.records.get(cell.id)) is not None
    )


def is_users(record: Record) -> bool:
    """Tell whether a cell failed by what only its user can mend."""
    return record.status == "failed" and record.error is not None and record.error.kind in _USERS


def _first_line(text: str) -> str:
    """Return the first line of a message that may be long."""
    lines = text.strip().splitlines()
    return lines[0] if lines else ""
