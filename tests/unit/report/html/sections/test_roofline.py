"""Where a stage lies under the roofline."""

from __future__ import annotations

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.profile import OVERHEAD, BreakdownRow, Roofline
from perfsuite.report.html.sections.roofline import place
from perfsuite.report.tables.cell_rows import CellRow

ROOF = Roofline(flops_per_s=100e9, bytes_per_s=10e9, threads=2, precision="fp32")
CELL = Cell("net", "fp32", "openvino")
ROW = CellRow(CELL, CELL.key, "ok")


def test_right_of_the_ridge_the_roof_is_flat() -> None:
    found = place(ROW, BreakdownRow("body", "stage", 0.01, 250_000_000, 0, 10_000_000), 0.02, ROOF)
    assert found is not None
    assert found[2:] == pytest.approx((0.5, 50.0, 50e9, 0.5))


def test_left_of_it_the_roof_is_the_memory() -> None:
    found = place(ROW, BreakdownRow("body", "stage", 0.01, 5_000_000, 0, 10_000_000), 0.02, ROOF)
    assert found is not None
    assert found.intensity == 1.0
    assert found.reached == pytest.approx(1e9 / 10e9)


@pytest.mark.parametrize(
    "row",
    [
        BreakdownRow("body", "stage", 0.01, None, 0, 10),
        BreakdownRow("body", "stage", 0.01, 10, 0, None),
        BreakdownRow("body", "stage", 0.01, 0, 0, 10),
        BreakdownRow("body", "stage", 0.0, 10, 0, 10),
        BreakdownRow(OVERHEAD, "rest", 0.01, 10, 0, 10),
    ],
)
def test_what_is_not_counted_or_took_no_time_has_no_place(row: BreakdownRow) -> None:
    assert place(ROW, row, 0.02, ROOF) is None
