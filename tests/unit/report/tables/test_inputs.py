"""The sentence that says on which shapes the cells of a table were timed."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.shapes import InputShapes, shapes_text
from perfsuite.report.tables.cell_rows import CellRow
from perfsuite.report.tables.inputs import inputs_text, sentences


def row(batch: int = 1, runtime: str = "openvino", **fields: Any) -> CellRow:
    cell = Cell("net", "fp32", runtime, batch=batch)
    return CellRow(cell, cell.key, "ok", **fields)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ({"x": ((1, 3, 640, 480),)}, "x 1x3x640x480"),
        ({"ids": ((2, 9),), "iou": ((1,),), "t": ((),)}, "ids 2x9, iou 1, t scalar"),
        ({"x": ((3, 8, 9), (3, 4, 5), (3, 6, 7))}, "x 3x4x5 to 3x8x9 (3 shapes)"),
        (dict.fromkeys("abcdef", ((1,),)), "a 1, b 1, c 1, d 1 and 2 more"),
        ({}, ""),
    ],
)
def test_shapes_as_a_text(shapes: InputShapes, text: str) -> None:
    assert shapes_text(shapes) == text


def test_one_sentence_where_all_are_alike() -> None:
    shapes: InputShapes = {"x": ((1, 3, 8, 8),)}
    alike = [row(input_shapes=shapes), row(runtime="pytorch", input_shapes=shapes), row(4)]
    assert sentences(alike) == ["inputs: x 1x3x8x8"]
    assert inputs_text(alike[2]) == "", "an earlier version did not tell"
    assert sentences([row(input_shapes=shapes, made_up=True)]) == ["inputs: x 1x3x8x8 (made up)"]
    assert sentences([row()]) == []


def test_the_batch_says_which_is_meant() -> None:
    found = [row(n, input_shapes={"x": ((n, 3),)}) for n in (1, 8, 1)]
    assert sentences(found) == ["inputs: x 1x3 (b1); x 8x3 (b8)"]


def test_else_the_cells_do() -> None:
    found = [
        row(input_shapes={"x": ((1, 3),)}),
        row(runtime="pytorch", input_shapes={"x": ((1, 4),)}),
    ]
    assert sentences(found) == [
        "inputs of fp32/openvino/cpu/b1: x 1x3",
        "inputs of fp32/pytorch/cpu/b1: x 1x4",
    ]
