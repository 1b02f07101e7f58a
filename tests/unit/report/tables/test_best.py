"""The best variant: the fastest that breaks no limit."""

from __future__ import annotations

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.verdict import Interval, VerdictStatus
from perfsuite.report.tables.best import best_variants
from perfsuite.report.tables.cell_rows import CellRow


def row(
    recipe: str,
    low: float = 2.0,
    verdict: VerdictStatus | None = None,
    labels: tuple[str, ...] = (),
    workload: str = "net",
) -> CellRow:
    cell = Cell(workload, recipe, "openvino")
    speedup = Interval(low * 1.5, low, low * 2.0)
    return CellRow(cell, cell.key, "ok", verdict=verdict, speedup=speedup, labels=labels)


def best(*rows: CellRow) -> str | None:
    (found,) = best_variants(list(rows))
    return found.row.cell.recipe if found.row else None


def test_the_fastest_is_best_where_nothing_is_judged() -> None:
    assert best(row("slow", 2.0), row("fast", 3.0)) == "fast"


def test_a_variant_that_breaks_a_limit_is_never_best() -> None:
    assert best(row("kept", 2.0, "pass"), row("broken", 9.0, "over_budget")) == "kept"


def test_one_that_keeps_limits_comes_before_one_that_has_none() -> None:
    assert best(row("kept", 2.0, "pass"), row("free", 9.0)) == "kept"


def test_what_cannot_be_told_is_no_broken_limit() -> None:
    (found,) = best_variants([row("unsure", 2.0, "inconclusive"), row("broken", 9.0, "failed")])
    assert found.row is not None
    assert (found.row.cell.recipe, found.open) == ("unsure", True)


def test_what_is_not_proven_faster_is_not_best_but_the_nearest() -> None:
    (found,) = best_variants([row("doubtful", 0.9), row("slower", 0.5)])
    assert found.row is None
    assert found.nearest is not None
    assert found.nearest.cell.recipe == "doubtful"
    assert found.tried == 2


def test_what_is_simulated_has_no_speed() -> None:
    assert best(row("simulated", 9.0, labels=("simulated",)), row("real", 2.0)) == "real"


def test_each_workload_has_its_own() -> None:
    found = best_variants([row("int8", workload="a"), row("prune", workload="b")])
    assert [(one.workload, one.row and one.row.cell.recipe) for one in found] == [
        ("a", "int8"),
        ("b", "prune"),
    ]


def test_a_workload_of_which_nothing_was_compared_has_none() -> None:
    failed = CellRow(Cell("net", "int8", "openvino"), "net/int8/openvino/cpu/b1", "failed")
    (found,) = best_variants([failed])
    assert (found.row, found.nearest, found.tried) == (None, None, 0)


def test_what_is_noise_is_best_only_where_all_is() -> None:
    noise = msgspec.structs.replace(row("noise"), speedup=Interval(40.0, 2.0, 800.0))
    assert best(noise, row("known", 3.0)) == "known"
    assert best(noise) == "noise"
