"""Why layers were left alone: a line for each reason, however many layers have it."""

from __future__ import annotations

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import LayerWidth
from perfsuite.report.tables.cell_rows import CellRow
from perfsuite.report.tables.layers import kept, reasons

INT8 = Cell("vgg", "int8", "openvino")


def left(layer: str, why: str) -> LayerWidth:
    return LayerWidth(layer, before=8, after=8, left=why)


def test_layers_with_one_reason_are_one_line_the_commonest_first() -> None:
    mixed = "its channels go through blocks.{}.norm, a LayerNorm, which mixes them"
    widths = (
        LayerWidth("stem", before=8, after=4),
        left("head", "its channels are an output of the model"),
        *(left(f"blocks.{index}.fc", mixed.format(index)) for index in range(4)),
    )
    assert list(reasons(widths)) == [
        "left alone: 4 layers (blocks.0.fc, blocks.1.fc, blocks.2.fc, …): its channels go through "
        "blocks.*.norm, a LayerNorm, which mixes them",
        "left alone: 1 layer (head): its channels are an output of the model",
    ]
    assert list(reasons(widths[:1])) == []


def test_layers_that_stay_in_float_are_told_by_reason() -> None:
    whys = {f"l{number}": f"alone {number} %; all lose 2 points" for number in range(10)}
    row = CellRow(INT8, "key", "ok", left=whys | {"head": "as asked"})
    first, second = kept(row)
    assert first == (
        "10 layers stay in float, all lose 2 points (l0: alone 0 %; l1: alone 1 %; l2: alone 2 %; "
        "l3: alone 3 %; l4: alone 4 %; l5: alone 5 %; l6: alone 6 %; l7: alone 7 %; and 2 more)"
    )
    assert second == "1 layer stays in float, as asked (head)"
    assert kept(CellRow(INT8, "key", "ok")) == []
