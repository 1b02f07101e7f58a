"""What further rounds may decide in a run that is looked at after each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import LATENCY, METRICS
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.judge.budgets import budget_verdicts
from perfsuite.judge.decisions import pace_decided
from perfsuite.judge.references import ok_cells, parent_cell, reference_cell
from perfsuite.judge.sequential import rounds_needed

NEVER_SLOWER = "never slower"


class OpenQuestion(msgspec.Struct, frozen=True):
    """A verdict on a cell that is not decided: by the budget named `about`, or `never slower`.

    It may be after `rounds` rounds, if these go on to differ as they did so far; None if not within
    the plan of the run.
    """

    cell: str  # the key
    about: str
    rounds: int | None


def open_questions(run: Run) -> list[OpenQuestion]:
    """Return what is not decided and may be by more rounds; nothing in a run of a fixed number.

    It follows from the records and the plan alone. Accuracies do not depend on rounds, and what is
    held against a baseline run is judged when the run has ended.
    """
    looks = run.header.suite.looks
    if looks is None:
        return []
    return [*_open_budgets(run, looks), *_open_paces(run, looks), *_wide_speedups(run, looks)]


def _open_budgets(run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    records = {cell.key: run.records[cell.id] for cell in run.header.cells}
    for verdict in budget_verdicts(run, None):
        around, limit = verdict.estimate, verdict.limit
        if verdict.status != "inconclusive" or around is None or limit is None:
            continue
        record = records[verdict.cell]
        if metrics.is_accuracy(record, verdict.metric) or verdict.uncounted:
            continue
        yield OpenQuestion(verdict.cell, verdict.budget, _forecast(record, around, limit, looks))


def _open_paces(run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    """Yield each compressed cell of which it is not known whether it is faster than its parent.

    A simulated one is not judged by its time.
    """
    floor = METRICS[LATENCY].floor or 0.0
    for cell in ok_cells(run):
        parent, record = parent_cell(run, cell), run.records[cell.id]
        if parent is None or "simulated" in record.labels:
            continue
        speedup = metrics.ratio(run.records[parent.id], record, LATENCY, "median")
        if speedup is None or pace_decided(speedup, floor):
            continue
        # One end must leave the values between as fast and faster by the floor.
        ends = []
        if speedup.value > 1.0:
            ends.append(_forecast(record, speedup, 1.0, looks))
        if speedup.value < 1.0 + floor:
            ends.append(_forecast(record, speedup, 1.0 + floor, looks))
        soonest = min((one for one in ends if one is not None), default=None)
        yield OpenQuestion(cell.key, NEVER_SLOWER, soonest)


def _wide_speedups(run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    """Yield each cell whose speed-up in the tables is not known as well as the suite wants it."""
    within = run.header.suite.speedups_within
    if within is None:
        return
    cells = ok_cells(run)
    for cell in cells:
        reference, record = reference_cell(cell, cells), run.records[cell.id]
        if reference is None or reference == cell:
            continue
        ratio = metrics.ratio(record, run.records[reference.id], LATENCY, "median")
        if ratio is None:
            continue
        reach = math.log(ratio.high / ratio.low) / 2.0
        if reach > math.log1p(within):
            rounds = min(len(record.latencies_s), looks.most)
            needed = rounds_needed(reach, rounds, math.log1p(within), looks)
            yield OpenQuestion(cell.key, f"speed-up within {100.0 * within:g} %", needed)


def _forecast(record: Record, around: Interval, limit: float, looks: Looks) -> int | None:
    """Return after how many rounds the interval may no longer hold the limit.

    Ratios and times have their intervals on a logarithmic scale.
    """
    low, value, high = around.low, around.value, around.high
    if low > 0.0 and limit > 0.0:
        low, value, high, limit = (math.log(one) for one in (low, value, high, limit))
    reach = value - low if limit < value else high - value
    rounds = min(len(record.latencies_s), looks.most)
    return rounds_needed(reach, rounds, abs(value - limit), looks)
