"""What passes did to each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.domain.record import LayerWidth
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Block, Fold, Folds, Heading, Plot, Section, Table, Value
from perfsuite.report.html.blocks import text as paragraphs
from perfsuite.report.html.page import Page
from perfsuite.report.html.values import count, number, said
from perfsuite.report.tables import layers as texts
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key
from perfsuite.report.words import percent

_COLUMNS = ("layer", "before", "after", "stays", "ranks", "why left alone")


def layers(page: Page) -> Section | None:
    """Return, for each workload, what became of each net's layers."""
    blocks: list[Block] = []
    for workload, group in page.groups.items():
        found = [*_replaced(group), *_changed(group), *_kept(group)]
        blocks += [Heading(plain(workload)), *found] if found else []
    return (
        Section("layers", "What passes did to each layer", blocks, "", "Layers") if blocks else None
    )


def _replaced(group: Sequence[CellRow]) -> list[Block]:
    return [paragraphs(f"{name}: {told}") for name, told in texts.replaced(group).items()]


def _changed(group: Sequence[CellRow]) -> list[Block]:
    folds = [_net(name, widths) for name, widths in texts.changed(group).items()]
    return [Folds("net", folds)] if folds else []


def _net(name: str, widths: tuple[LayerWidth, ...]) -> Fold:
    caption = f"{name}: channels or features of each layer, before and after"
    table = Table(caption, _COLUMNS, [_line(one) for one in widths], lazy=True)
    plot = Plot(caption, _figure(widths), table, 90 + 18 * len(widths), packed=True)
    reasons = tuple(texts.reasons(widths))
    more = [paragraphs(*reasons, tone="quiet")] if reasons else []
    return Fold(f"{name}: {texts.sentence(widths)}", (plot, *more))


def _line(one: LayerWidth) -> tuple[Value, ...]:
    return (
        said(one.layer),
        count(one.before),
        count(one.after),
        number(one.after / one.before, percent) if one.before else Value(""),
        said(" and ".join(map(str, one.ranks))),
        said(one.left),
    )


def _figure(widths: tuple[LayerWidth, ...]) -> dict[str, Any]:
    rows = list(range(len(widths)))
    return {
        "data": [
            _bars("before", "$line", [one.before for one in widths], rows, 0.8),
            _bars("after", "$series1", [one.after for one in widths], rows, 0.45),
        ],
        "layout": {
            "barmode": "overlay",
            "xaxis": {"title": {"text": "channels or features"}},
            "yaxis": figures.names([one.layer for one in widths], tickfont={"size": 10}),
        },
    }


def _bars(
    name: str, colour: str, values: list[int], rows: list[int], width: float
) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": values,
        "y": rows,
        "width": width,
        "marker": {"color": colour},
        "hovertemplate": f"%{{x}} {name}<extra></extra>",
    }


def _kept(group: Sequence[CellRow]) -> list[Block]:
    lines = [(said(short_key(row)), said(told)) for row in group for told in texts.kept(row)]
    return [Table("Layers that stay in float", ("cell", "which, and why"), lines)] if lines else []
