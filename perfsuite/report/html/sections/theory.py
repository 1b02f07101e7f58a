"""Theory beside clock: what fewer MACs promise, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.domain.verdict import Interval
from perfsuite.judge import Gain
from perfsuite.report import words
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Block, Plot, Section, Table, Value
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.values import EMPTY, number, said, worded
from perfsuite.report.tables import theory as texts
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key
from perfsuite.report.tables.texts import faster_text, realised_text

_INTRO = (
    "On the line a variant is as much faster as its fewer MACs promise. Below it, time is spent on "
    "something else than multiplying; above it, kernels suit the smaller net better."
)


def theory(page: Page) -> Section | None:
    """Return a plot and a table for each workload whose variants have fewer MACs."""
    blocks: list[Block] = []
    for workload, group in page.groups.items():
        small = texts.compressed(group)
        if small:
            blocks.append(_plot(workload, small))
    return Section("theory", texts.TITLE, blocks, _INTRO, "Theory") if blocks else None


def _plot(workload: str, small: Sequence[CellRow]) -> Plot:
    known = [
        (row, one.macs_ratio, one.speedup)
        for row in small
        if (one := row.gain) is not None and one.macs_ratio is not None and one.speedup is not None
    ]
    ratios = [ratio for _, ratio, _ in known]
    speeds = [speed for _, _, speed in known]
    ends = [end for one in speeds for end in (one.low, one.value, one.high)]
    both = figures.log_range([1.0, *ratios, *ends])
    least, most = 10.0 ** both[0], 10.0 ** both[1]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": "as promised",
            "mode": "lines",
            "x": [least, most],
            "y": [least, most],
            "line": {"color": "$quiet", "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        }
    ]
    runtimes = list(dict.fromkeys(row.cell.runtime for row, _, _ in known))
    data += [_points(one, place, known, both) for place, one in enumerate(runtimes)]
    figure = {
        "data": data,
        "layout": {
            "xaxis": figures.log_axis("fewer MACs, by a factor of", both, words.times),
            "yaxis": figures.log_axis("speed-up over what it came from", both, words.times),
        },
    }
    caption = f"{plain(workload)}: measured speed-up against fewer MACs"
    return Plot(caption, figure, Table(caption, texts.COLUMNS, [_line(row) for row in small]), 440)


def _points(
    runtime: str,
    place: int,
    known: Sequence[tuple[CellRow, float, Interval]],
    across: Sequence[float],
) -> dict[str, Any]:
    own = [one for one in known if one[0].cell.runtime == runtime]
    return {
        "type": "scatter",
        "name": figures.label(runtime),
        "mode": "markers+text" if len(known) <= 10 else "markers",
        "x": [ratio for _, ratio, _ in own],
        "y": [speed.value for _, _, speed in own],
        "error_y": figures.errors([speed for _, _, speed in own], figures.series(place)),
        "text": [figures.label(row.cell.recipe, 24) for row, _, _ in own],
        "textposition": figures.inwards([ratio for _, ratio, _ in own], across, place),
        "textfont": {"size": 11, "color": "$quiet"},
        "cliponaxis": False,
        "marker": {"size": 11, "symbol": figures.symbol(place), "color": figures.series(place)},
        "hovertext": [figures.lines(short_key(row), *_told(row.gain)) for row, _, _ in own],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {"links": [cell_place(row.cell) for row, _, _ in own]},
    }


def _told(one: Gain | None) -> tuple[str, ...]:
    if one is None or one.macs_ratio is None or one.speedup is None:
        return ()
    return (
        f"MACs: {words.times(one.macs_ratio)} fewer",
        f"clock: {faster_text(one.speedup)} over {one.recipe}",
        f"realised: {realised_text(one.realised)}" if one.realised else "",
    )


def _line(row: CellRow) -> tuple[Value, ...]:
    told = texts.cells(row)
    one = row.gain
    first = said(told[0], link=cell_place(row.cell))
    if one is None:
        return (first, *[EMPTY] * (len(told) - 1))
    return (
        first,
        said(told[1]),
        number(one.macs_ratio, lambda _: told[2]) if one.macs_ratio is not None else said(told[2]),
        worded(told[3], one.speedup),
        worded(told[4], one.realised),
        worded(told[5], one.loss_points),
        number(one.parameters_ratio, words.part),
    )
