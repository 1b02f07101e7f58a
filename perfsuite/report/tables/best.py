"""The best variant of each workload, by its budgets and its speed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from perfsuite.report.tables.cell_rows import CellRow, groups

_SIMULATED = "simulated"


class Best(msgspec.Struct, frozen=True):
    """The best variant of one workload: the fastest of those that break no limit.

    A variant that keeps limits comes before one of which none speaks. `row` is None where no
    variant is proven faster than its reference; `nearest` is then the fastest one, even if it
    breaks a limit. `tried` is the number of variants that were measured and compared.
    """

    workload: str
    row: CellRow | None
    nearest: CellRow | None
    tried: int


def best_variants(found: list[CellRow]) -> list[Best]:
    """Return the best variant of each workload, in the order of the suite."""
    return [_best(workload, group) for workload, group in groups(found).items()]


def _best(workload: str, group: Sequence[CellRow]) -> Best:
    tried = [row for row in group if _is_variant(row)]
    faster = [row for row in tried if row.speedup is not None and row.speedup.low > 1.0]
    kept = [row for row in faster if row.verdict == "pass"]
    free = [row for row in faster if row.verdict is None]
    best = max(kept or free, key=_speedup, default=None)
    nearest = None if best else max(tried, key=_speedup, default=None)
    return Best(workload, best, nearest, len(tried))


def _is_variant(row: CellRow) -> bool:
    measured = row.status == "ok" and row.speedup is not None
    return measured and _SIMULATED not in row.labels and not row.cell.switch


def _speedup(row: CellRow) -> float:
    return row.speedup.value if row.speedup is not None else 0.0
