"""What each part of a net costs and gains if it alone is compressed, from a stored run."""

from __future__ import annotations

from itertools import product

import msgspec

from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Record, Run
from perfsuite.domain.sensitivity import Unit
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics

_MS = 1e3
_TIERS = ("in vain", "saves", "open", "failed")  # the worst first
_CUT_SHORT = "the run was cut short; --resume goes on with it"


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
    records = {record.cell.recipe: record for record in run.records.values()}
    parts = [_part(unit, records[unit.recipe], records[FP32.name]) for unit in asked.units]
    return sorted(parts, key=lambda part: (_TIERS.index(_tier(part)), -_cost(part)))


def _part(unit: Unit, record: Record, reference: Record) -> Part:
    found = Part(unit.name, unit.use, record.cell.key, unit.layers, record.status)
    if record.status != "ok":
        told = _CUT_SHORT if record.error is None else record.error.message
        return msgspec.structs.replace(found, reason=told)
    if reference.status != "ok":
        return found
    lost = metrics.known_loss(reference, record)
    least = record.least_like
    error = None if least is None or least.relative_error is None else 100.0 * least.relative_error
    saved = _saved_s(record, reference)
    cost = lost
    if lost is None and error is not None:
        cost = Interval(error, error, error)
    return msgspec.structs.replace(
        found,
        metric=record.accuracy.metric if record.accuracy else "",
        points_lost=lost,
        error_percent=error,
        saved_s=saved,
        lost_per_ms=_per_ms(cost, saved) if cost is not None and saved is not None else None,
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


def _tier(part: Part) -> str:
    if part.status != "ok":
        return "failed"
    if part.lost_per_ms is not None:
        return "saves"
    lost = part.points_lost
    return "in vain" if part.is_slower or (lost is not None and lost.low > 0.0) else "open"


def _cost(part: Part) -> float:
    """Return by what parts of one tier are ordered."""
    if part.lost_per_ms is not None:
        return part.lost_per_ms.value
    if part.points_lost is not None:
        return part.points_lost.value
    return part.error_percent or 0.0
