"""A red verdict on a change is believed when a second measurement comes to it too."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import metrics
from perfsuite.judge.decisions import RED, believed


def believed_verdict(
    run: Run, cell: Cell, metric: str, verdict_on: Callable[[Run], Verdict]
) -> Verdict:
    """Return the verdict on a change: the first one or, if that is red, that of the second rounds.

    A red one stands where these are missing: then it was measured once. An accuracy and a size are
    what they are, however often a cell is measured.
    """
    first = verdict_on(run)
    if first.status not in RED or run.again is None:
        return first
    record = run.again.records.get(cell.id)
    if record is None or record.status != "ok" or not metrics.has(record, metric):
        return first
    if not metrics.is_measured(record, metric):
        return first
    again = verdict_on(run.again)
    if again.estimate is None or _basis(again) != _basis(first):
        return first
    status = believed(first.status, again.status)
    return msgspec.structs.replace(again, status=status, again=True)


def _basis(verdict: Verdict) -> tuple[bool, str]:
    """Return what a change is measured by: beside nothing, it would be another question."""
    return verdict.beside, verdict.yardstick
