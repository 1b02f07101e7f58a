"""Verdicts on what a suite requires to have run: libraries, and instruction sets."""

from __future__ import annotations

from perfsuite.config import requires
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Require
from perfsuite.domain.verdict import Reason, Verdict, VerdictStatus
from perfsuite.judge.status import expectation, trouble
from perfsuite.libraries.proof import proof


def requirement_verdicts(run: Run) -> list[Verdict]:
    """Return a verdict for each requirement and cell, in the suite's order.

    Of cells that are expected not to run nothing is required, unless they are all that is meant.
    """
    return [verdict for require in run.header.suite.require for verdict in _verdicts(require, run)]


def _verdicts(require: Require, run: Run) -> list[Verdict]:
    cells = [cell for cell in run.header.cells if requires(require, cell)]
    asked = [cell for cell in cells if expectation(run, cell) is None]
    if not asked:
        return [_verdict(require, "*", "missing", Reason("none_to_run"))]
    return [_of_cell(require, cell, run) for cell in asked]


def _of_cell(require: Require, cell: Cell, run: Run) -> Verdict:
    record = run.records.get(cell.id)
    evidence = record.evidence if record is not None else None
    if evidence is None:
        return _verdict(require, cell.key, "missing", trouble(record) or Reason("no_evidence"))
    found = proof(require, evidence)
    reason = Reason("shown", text=found.text)
    return _verdict(require, cell.key, "pass" if found.holds else "failed", reason)


def _verdict(require: Require, key: str, status: VerdictStatus, reason: Reason) -> Verdict:
    why = f" ({require.reason})" if require.reason else ""
    name = f"{require.what} is required{why}"
    return Verdict(status, name, key, "", "require", reason=reason)
