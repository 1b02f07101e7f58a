"""The best variant of each workload, by its budgets and its speed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perfsuite.domain.record import SIMULATED
from perfsuite.report.tables.cell_rows import UNDECIDED, CellRow, groups
from perfsuite.report.words import is_noise


class Best(msgspec.Struct, frozen=True):
    """The best variant of one workload: the fastest of those that break no limit.

    A variant that keeps limits comes before one of which none speaks, and that before one of which
    not all can be told; the last is `open`. `row` is None where no variant is proven faster than
    its reference, or all that are break a limit; `nearest` is then the fastest one. `tried` is the
    number of variants that were measured and compared.
    """

    workload: str
    row: CellRow | None
    nearest: CellRow | None
    tried: int
    open: bool = False


def best_variants(found: list[CellRow]) -> list[Best]:
    """Return the best variant of each workload, in the order of the suite."""
    return [_best(workload, group) for workload, group in groups(found).items()]


def _best(workload: str, group: Sequence[CellRow]) -> Best:
    tried = [row for row in group if _is_variant(row)]
    faster = [row for row in tried if row.speedup is not None and row.speedup.low > 1.0]
    kept = [row for row in faster if row.verdict == "pass"]
    free = [row for row in faster if row.verdict is None]
    unsure = [row for row in faster if row.verdict in UNDECIDED]
    best = max(kept or free or unsure, key=_speedup, default=None)
    nearest = None if best else max(tried, key=_speedup, default=None)
    return Best(workload, best, nearest, len(tried), open=best in unsure)


def _is_variant(row: CellRow) -> bool:
    measured = row.status == "ok" and row.speedup is not None
    return measured and SIMULATED not in row.labels and not row.cell.switch


def _speedup(row: CellRow) -> tuple[bool, float]:
    """Return what variants are ordered by: a speed-up that is noise is less than all others."""
    if row.speedup is None:
        return False, 0.0
    return not is_noise(row.speedup), row.speedup.value
