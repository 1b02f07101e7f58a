"""The stages under the roofline of the machine (Williams, Waterman and Patterson 2009)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from perfsuite.domain.profile import BreakdownRow, Roofline
from perfsuite.report import words
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Plot, Section, Table, Value
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import breakdown_place
from perfsuite.report.html.values import number, said
from perfsuite.report.tables.cell_rows import CellRow, plain

_INTRO = (
    "A stage to the left of the ridge waits for memory, one to the right of it for computation; "
    "the line is what this machine reaches at best, measured here. What stays in the processor's "
    "caches may stand above its slope. Larger points take more of the call."
)
_COLUMNS = ("stage", "cell", "FLOP a byte", "GFLOP/s", "of the roof", "time", "share")
_LEAST, _LARGEST = 7.0, 26.0  # pixels: the size of a point


class Placed(NamedTuple):
    """A stage of a cell under its roofline; `reached` is its share of the roof above it."""

    row: CellRow
    stage: BreakdownRow
    share: float
    intensity: float  # FLOP for each byte
    flops_per_s: float
    reached: float


def roofline(page: Page) -> Section | None:
    """Return a plot for each roofline that cells were profiled with."""
    found: dict[Roofline, list[Placed]] = {}
    for row in page.rows:
        record = page.run.records.get(row.cell.id)
        if record is None or record.roofline is None or record.breakdown is None:
            continue
        for stage in record.breakdown.rows:
            placed = place(row, stage, record.breakdown.total_s, record.roofline)
            if placed is not None:
                found.setdefault(record.roofline, []).append(placed)
    if not found:
        return None
    blocks = [_plot(roof, placed) for roof, placed in found.items()]
    return Section("roofline", "Roofline", blocks, _INTRO)


def place(row: CellRow, stage: BreakdownRow, total_s: float, roof: Roofline) -> Placed | None:
    """Return where a stage lies; None where its MACs or bytes are not counted, or are none."""
    if not stage.macs or not stage.bytes or stage.time_s <= 0.0 or stage.level == "rest":
        return None
    intensity = 2 * stage.macs / stage.bytes
    rate = 2 * stage.macs / stage.time_s
    above = min(roof.flops_per_s, intensity * roof.bytes_per_s)
    return Placed(row, stage, stage.time_s / total_s, intensity, rate, rate / above)


def _plot(roof: Roofline, placed: Sequence[Placed]) -> Plot:
    ridge = roof.flops_per_s / roof.bytes_per_s
    across = figures.log_range([ridge / 4, ridge * 4, *(one.intensity for one in placed)])
    rates = [one.flops_per_s for one in placed]
    least, most = 10.0 ** across[0], 10.0 ** across[1]
    up = figures.log_range([*rates, roof.flops_per_s, least * roof.bytes_per_s])
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": "what the machine can do",
            "mode": "lines",
            "x": [least, ridge, most],
            "y": [least * roof.bytes_per_s, roof.flops_per_s, roof.flops_per_s],
            "line": {"color": "$ink", "width": 2},
            "hoverinfo": "skip",
        }
    ]
    names = list(dict.fromkeys(one.stage.name for one in placed))
    data += [_points(name, index, placed) for index, name in enumerate(names)]
    what = f"{roof.device or _threads(roof)}, {roof.precision}"
    title = (
        f"{plain(what)}: {words.number(roof.flops_per_s / 1e9)} GFLOP/s, "
        f"{words.number(roof.bytes_per_s / 1e9)} GB/s"
    )
    figure = {
        "data": data,
        "layout": {
            "xaxis": figures.log_axis("FLOP a byte", across, words.number),
            "yaxis": figures.log_axis("GFLOP/s", up, lambda one: words.number(one / 1e9)),
        },
    }
    return Plot(title, figure, Table(title, _COLUMNS, list(_lines(placed))), 460)


def _threads(roof: Roofline) -> str:
    return f"{roof.threads} thread{'s' * (roof.threads != 1)}"


def _points(name: str, index: int, placed: Sequence[Placed]) -> dict[str, Any]:
    own = [one for one in placed if one.stage.name == name]
    return {
        "type": "scatter",
        "name": figures.label(name, 28),
        "mode": "markers",
        "x": [one.intensity for one in own],
        "y": [one.flops_per_s for one in own],
        "marker": {
            "size": [max(_LEAST, _LARGEST * one.share**0.5) for one in own],
            "symbol": figures.symbol(index),
            "color": figures.series(index),
            "opacity": 0.85,
        },
        "hovertext": [
            figures.lines(
                name,
                one.row.key,
                f"{words.percent(one.reached)} of the roof, {words.percent(one.share)} of the call",
            )
            for one in own
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {"links": [breakdown_place(one.row.cell) for one in own]},
    }


def _lines(placed: Sequence[Placed]) -> Iterator[tuple[Value, ...]]:
    for one in placed:
        yield (
            said(one.stage.name),
            said(one.row.key, link=breakdown_place(one.row.cell)),
            number(one.intensity, words.number),
            number(one.flops_per_s, lambda value: words.number(value / 1e9)),
            number(one.reached, words.percent),
            number(one.stage.time_s, words.seconds),
            number(one.share, words.percent),
        )
