"""Why layers were left alone: a line for each reason, however many layers have it."""

from __future__ import annotations

from perfsuite.domain.record import LayerWidth
from perfsuite.report.tables.layers import reasons


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
