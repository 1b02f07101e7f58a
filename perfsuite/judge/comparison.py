"""Two runs side by side, without judging."""

from __future__ import annotations

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import Caution, VersionChange
from perfsuite.domain.metrics import LATENCY, known_metrics
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Interval, NoiseSource, Reason
from perfsuite.errors import Incomparable
from perfsuite.judge import metrics
from perfsuite.judge.cautions import of_other_run
from perfsuite.judge.comparability import MeasuredChange, change, version_changes
from perfsuite.judge.regression import latency_verdict


class CellChange(msgspec.Struct, frozen=True):
    """One cell in both runs; `reasons` say why numbers are missing.

    `loss_points` is that of the task's main metric, `other_losses` those of its others.
    """

    cell: Cell
    key: str
    before: str  # the statuses
    after: str
    latency_before_s: float | None = None
    latency_after_s: float | None = None
    latency_ratio: Interval | None = None  # after / before
    loss_points: Interval | None = None
    reasons: tuple[Reason, ...] = ()
    yardstick: str = ""  # the key of the cell that both runs' times were divided by, if any
    other_losses: dict[str, Interval] = {}  # metric to points
    other_ratios: dict[str, Interval] = {}  # after / before of what else has a column in tables
    # How the latencies were compared, as a verdict says it.
    beside: bool = False
    again: bool = False
    noise: NoiseSource = ""
    between: float | None = None
    noise_runs: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """All common cells in the order of the second run, and the keys that only one run has."""

    before: str  # the runs' suites and dates
    after: str
    changes: tuple[CellChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    warnings: tuple[Caution, ...] = ()
    versions: tuple[VersionChange, ...] = ()  # of libraries, that differ
    turned: bool = False  # what is called before was made after the other


def compare(before: Run, after: Run) -> Comparison:
    """Return how each cell that both runs have changed from `before` to `after`."""
    known = {cell.id for cell in before.header.cells}
    here = {cell.id for cell in after.header.cells}
    return Comparison(
        _title(before),
        _title(after),
        tuple(_change(cell, before, after) for cell in after.header.cells if cell.id in known),
        tuple(cell.key for cell in before.header.cells if cell.id not in here),
        tuple(cell.key for cell in after.header.cells if cell.id not in known),
        (*of_other_run("before", before), *of_other_run("after", after)),
        version_changes(after.header.environment, before.header.environment),
        before.header.created_at > after.header.created_at,  # both in UTC
    )


def _title(run: Run) -> str:
    return f"{run.header.suite.name} {run.header.created_at}".strip()


def _change(cell: Cell, before: Run, after: Run) -> CellChange:
    old, new = before.records.get(cell.id), after.records.get(cell.id)
    statuses = (old.status if old else "missing", new.status if new else "missing")
    if old is None or new is None or statuses != ("ok", "ok"):
        return CellChange(cell, cell.key, *statuses)
    reasons: list[Reason] = []
    found = MeasuredChange(None)
    again = False
    if metrics.has(old, LATENCY) and metrics.has(new, LATENCY):
        again = latency_verdict(cell, after, before).again
        latest = after.again if again and after.again is not None else after
        found = change(cell, latest, before, LATENCY)
        reasons += [found.reason] if found.reason else []
    losses, others = _losses(old, new)
    main = new.accuracy.metric if new.accuracy is not None else ""
    return CellChange(
        cell,
        cell.key,
        *statuses,
        metrics.typical_latency(old),
        metrics.typical_latency(new),
        found.ratio,
        losses.pop(main, None),
        (*reasons, *others),
        found.yardstick,
        losses,
        _other_ratios(cell, before, after),
        beside=found.beside,
        again=again,
        noise=found.noise.source,
        between=found.noise.deviation,
        noise_runs=found.noise.runs,
    )


def _other_ratios(cell: Cell, before: Run, after: Run) -> dict[str, Interval]:
    found: dict[str, Interval] = {}
    records = (before.records[cell.id], after.records[cell.id])
    for metric in known_metrics(after.header.metrics).values():
        shown = metric.column and metric.name != LATENCY
        if shown and all(metrics.has(record, metric.name) for record in records):
            ratio = change(cell, after, before, metric.name).ratio
            if ratio is not None:
                found[metric.name] = ratio
    return found


def _losses(old: Record, new: Record) -> tuple[dict[str, Interval], list[Reason]]:
    """Return the points lost by each metric that both have, and the reasons for missing ones."""
    found: dict[str, Interval] = {}
    reasons: list[Reason] = []
    for metric in (one.metric for one in new.accuracies if old.accuracy_by(one.metric)):
        try:
            lost = metrics.loss(old, new, metric)
        except Incomparable as error:
            reason = Reason("other_samples", text=str(error))
            reasons += [] if reason in reasons else [reason]  # mostly the same for all
            continue
        if lost is not None:
            found[metric] = lost
    return found, reasons
