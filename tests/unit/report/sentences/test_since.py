"""What changed between two runs, in one sentence."""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.domain.verdict import Interval
from perfsuite.judge import CellChange, Comparison
from perfsuite.report.sentences.since import since_sentence


def change(ratio: Interval | None = None, lost: Interval | None = None) -> CellChange:
    cell = Cell("net", "int8", "openvino")
    return CellChange(cell, cell.key, "ok", "ok", latency_ratio=ratio, loss_points=lost)


def said(*changes: CellChange) -> str:
    return since_sentence(Comparison("before", "after", changes, (), ()))


def test_cells_are_counted_by_what_is_proven() -> None:
    faster, slower = Interval(0.5, 0.4, 0.6), Interval(1.5, 1.4, 1.6)
    found = said(
        change(faster),
        change(slower, Interval(1.0, 0.5, 1.5)),
        change(Interval(1.0, 0.9, 1.1), Interval(-1.0, -1.5, -0.5)),
        change(),
    )
    assert found == (
        "Of 4 cells in both runs: 1 faster, 1 slower, 1 not proven to have changed in speed, "
        "1 more accurate, 1 less accurate, 1 without a comparison of speed."
    )


def test_runs_without_a_common_cell() -> None:
    assert said() == "The two runs have no cell in common."
