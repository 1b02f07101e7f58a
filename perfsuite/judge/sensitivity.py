"""What each part of a net costs and gains if it alone is compressed, from a stored run."""

from __future__ import annotations

from itertools import product

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Record, Run
from perfsuite.domain.sensitivity import Unit
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.judge.status import trouble

_MS = 1e3


class Part(msgspec.Struct, frozen=True):
    """A layer or stage that `use`, a pass, compressed alone, against the whole net in fp32.

    `points_lost` are those of the metric on validation samples; without any, `error_percent` is the
    relative error of the output that differs most, in percent. `saved_s` are the seconds that a
    call takes less, measured together with fp32 on the same engine. `lost_per_ms` are points, or
    percent without any, for each millisecond saved: None unless the whole interval of `saved_s` is
    above zero, because a quotient by what may be zero says nothing.
    """

    name: str
    use: str
    cell: str  # the key
    layers: tuple[str, ...]
    status: str
    reason: str = ""  # why it could not be compressed
    metric: str = ""
    points_lost: Interval | None = None
    error_percent: float | None = None
    saved_s: Interval | None = None
    lost_per_ms: Interval | None = None

    @property
    def is_faster(self) -> bool:
        """Return whether it is proven that time is saved."""
        return self.saved_s is not None and self.saved_s.low > 0.0

    @property
    def is_slower(self) -> bool:
        """Return whether it is proven that a call takes longer."""
        return self.saved_s is not None and self.saved_s.high < 0.0


def sensitivities(run: Run) -> list[Part]:
    """Return the parts of the net, the worst first; none if the run does not ask for any.

    First come those that lose accuracy for no time that is proven to be saved, then those that save
    time by what they lose for it, then those of which neither is proven, then those that could not
    be compressed.
    """
    asked = run.header.suite.sensitivity
    if asked is None:
        return []
    cells = {cell.recipe: cell for cell in run.header.cells}
    reference = run.records.get(cells[FP32.name].id) if FP32.name in cells else None
    parts = [_part(run, cells[unit.recipe], unit, reference) for unit in asked.units]
    return sorted(parts, key=_badness)


def _part(run: Run, cell: Cell, unit: Unit, reference: Record | None) -> Part:
    record = run.records.get(cell.id)
    found = Part(unit.name, unit.use, cell.key, unit.layers, record.status if record else "missing")
    reason = trouble(record)
    if record is None or reason is not None:
        told = record.error.message if record is not None and record.error else ""
        return msgspec.structs.replace(found, reason=told)
    if reference is None or reference.status != "ok":
        return found
    lost = metrics.known_loss(reference, record)
    least = record.least_like
    error = None if least is None or least.relative_error is None else 100.0 * least.relative_error
    saved = _saved_s(record, reference)
    cost = lost or (None if error is None else Interval(error, error, error))
    return msgspec.structs.replace(
        found,
        metric=record.accuracy.metric if record.accuracy else "",
        points_lost=lost,
        error_percent=error,
        saved_s=saved,
        lost_per_ms=None if cost is None or saved is None else _per_ms(cost, saved),
    )


def _saved_s(record: Record, reference: Record) -> Interval | None:
    """Return the seconds that a call takes less than the reference's; None with too few processes.

    The interval is that of the ratio, whose pairs were measured at the same time, times the
    reference's typical latency.
    """
    ratio = metrics.ratio(record, reference, LATENCY, "median")
    whole_s = metrics.typical_latency(reference)
    if ratio is None or whole_s is None:
        return None
    return Interval(
        whole_s * (1.0 - ratio.value), whole_s * (1.0 - ratio.high), whole_s * (1.0 - ratio.low)
    )


def _per_ms(cost: Interval, saved: Interval) -> Interval | None:
    """Return cost / saved milliseconds, from the worst to the best that both intervals allow."""
    if saved.low <= 0.0:
        return None
    ends = [
        one / (_MS * other)
        for one, other in product((cost.low, cost.high), (saved.low, saved.high))
    ]
    return Interval(cost.value / (_MS * saved.value), min(ends), max(ends))


def _badness(part: Part) -> tuple[int, float]:
    """Return a key that is the smallest for the worst part."""
    if part.status != "ok":
        return 3, 0.0
    lost = part.points_lost
    cost = lost.value if lost is not None else part.error_percent or 0.0
    if part.lost_per_ms is not None:
        return 1, -part.lost_per_ms.value
    proven = part.is_slower or (lost is not None and lost.low > 0.0)
    return (0 if proven else 2), -cost
