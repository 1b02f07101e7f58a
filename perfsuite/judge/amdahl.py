"""What bounds the speed of a net whatever is done to the rest of it (Amdahl 1967)."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.optimum import SpeedBound
from perfsuite.domain.profile import Breakdown
from perfsuite.domain.record import Record
from perfsuite.judge.bottleneck import without_profiling
from perfsuite.judge.metrics import typical_latency


def speed_bound(reference: Record, others: Sequence[Record]) -> SpeedBound | None:
    """Return the stage that takes longest where each is taken from the record that has it shortest.

    If nothing else took time, the net would be as many times as fast as the reference as the bound
    says. Shares of a profiled call are taken as shares of the latency. Records that share no stage
    with the reference are left out, as those of a student, which is another net. None without
    breakdowns, or where no stage takes time.
    """
    whole_s = typical_latency(reference)
    ours = _stages(reference.breakdown)
    kin = [one for one in others if _stages(one.breakdown) & ours]
    found = [(one.cell.key, times_s) for one in kin if (times_s := _times_s(one))]
    if whole_s is None or not found:
        return None
    rows = dict.fromkeys(row for _, times_s in found for row in times_s)
    least = [(min((times_s.get(row, 0.0), key) for key, times_s in found), row) for row in rows]
    (time_s, key), stage = max(least)
    return SpeedBound(stage, time_s, key, whole_s / time_s) if time_s > 0.0 else None


def _stages(breakdown: Breakdown | None) -> set[str]:
    rows = breakdown.rows if breakdown is not None else ()
    return {row.name for row in rows if row.level != "rest"}


def _times_s(record: Record) -> dict[str, float]:
    """Return the seconds of each row of a call that is not profiled; empty if they are unknown."""
    latency_s = typical_latency(record)
    if record.breakdown is None or latency_s is None:
        return {}
    breakdown = without_profiling(record.breakdown)
    if breakdown.total_s <= 0.0:
        return {}
    return {row.name: row.time_s * latency_s / breakdown.total_s for row in breakdown.rows}
