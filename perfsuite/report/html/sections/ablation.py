"""What each library is worth, where a run has turned them off one by one."""

from __future__ import annotations

from typing import Any

from perfsuite.judge.ablation import Worth, worths
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Block, Plot, Section, Table, Value, text
from perfsuite.report.html.page import Page
from perfsuite.report.html.values import number, said, worded
from perfsuite.report.sentences.ablation import note, ratio_text, seen_text
from perfsuite.report.tables import ablation as texts
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.words import seconds, times

_COLUMNS = (
    *("library", "turned off", "of the cell", "with all", "without", "times as long"),
    *("what ran", "note"),
)


def ablation(page: Page) -> Section | None:
    """Return what calls cost without each library, beside those with all of them."""
    if not page.run.header.suite.ablation:
        return None
    found = worths(page.run)
    table = Table(texts.TITLE, _COLUMNS, [_line(one) for one in found])
    measured = [one for one in found if one.ratio is not None]
    blocks: list[Block] = [text(*texts.sentences(page.run))]
    if measured:
        title = "How many times as long a call takes without"
        blocks.append(Plot(title, _figure(measured), table, figures.height_of(len(measured))))
    else:
        blocks.append(table)
    return Section("ablation", texts.TITLE, blocks, short="Libraries")


def _line(one: Worth) -> tuple[Value, ...]:
    return (
        said(one.library),
        said(one.title),
        said(one.whole),
        number(one.whole_s, seconds),
        number(one.without_s, seconds) if one.status == "ok" else said(one.status),
        worded("" if one.ratio is None else ratio_text(one.ratio), one.ratio),
        said(seen_text(one)),
        said(note(one)),
    )


def _figure(measured: list[Worth]) -> dict[str, Any]:
    runtimes = list(dict.fromkeys(one.runtime for one in measured))
    data: list[dict[str, Any]] = []
    for place, runtime in enumerate(runtimes):
        own = [(row, one) for row, one in enumerate(measured) if one.runtime == runtime]
        ratios = [one.ratio for _, one in own if one.ratio is not None]
        data.append(
            {
                "type": "scatter",
                "name": figures.label(runtime),
                "mode": "markers",
                "x": [one.value for one in ratios],
                "y": [row for row, _ in own],
                "error_x": figures.errors(ratios, figures.series(place)),
                "marker": {
                    "size": 10,
                    "symbol": figures.symbol(place),
                    "color": figures.series(place),
                },
                "hovertext": [
                    figures.lines(_name(one), ratio_text(ratio), seen_text(one))
                    for (_, one), ratio in zip(own, ratios, strict=True)
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )
    ends = [end for one in measured if one.ratio for end in (one.ratio.low, one.ratio.high)]
    line = {"type": "line", "yref": "paper", "x0": 1, "x1": 1, "y0": 0, "y1": 1}
    return {
        "data": data,
        "layout": {
            "xaxis": figures.log_axis("times as long", figures.log_range([1.0, *ends]), times),
            "yaxis": figures.names([_name(one) for one in measured]),
            "shapes": [{**line, "line": {"color": "$quiet", "width": 1, "dash": "dash"}}],
        },
    }


def _name(one: Worth) -> str:
    return plain(f"{one.library} {one.title}, {one.runtime}")
