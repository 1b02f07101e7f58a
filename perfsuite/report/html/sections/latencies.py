"""The latencies of each cell: every process and slice, so that noise is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.domain.record import NOT_TOGETHER, Record
from perfsuite.report import words
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Block, Fold, Folds, Heading, Plot, Section, Table, Value
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import latency_place
from perfsuite.report.html.timings import Process, groups_of, processes
from perfsuite.report.html.values import count, number, said
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key
from perfsuite.report.tables.texts import latency_text

_INTRO = (
    "A sample is a process, not a call: each dot is the median of one fresh process, and the bar "
    "is the 95 % interval of the cell. Processes of cells that are compared take turns in slices "
    "of about 100 ms, so that they meet the same machine."
)
_COLUMNS = ("process", "calls", "median", "fastest", "slowest", "slices", "took turns with")
_NAMED = 4  # cells that took turns


def latencies(page: Page) -> Section | None:
    """Return the processes of all cells by workload, and the slices of each cell behind a line."""
    groups = groups_of(page.run)
    blocks: list[Block] = []
    for workload, rows in page.groups.items():
        timed = [
            (row, page.run.records[row.cell.id], found)
            for row in rows
            if row.cell.id in page.run.records
            and (found := processes(page.run.records[row.cell.id], groups))
        ]
        if not timed:
            continue
        blocks += [Heading(plain(workload)), _overview(page, workload, timed)]
        blocks.append(Folds("cell", [_cell(*one) for one in timed]))
    if not blocks:
        return None
    return Section("latencies", "Latencies, process by process", blocks, _INTRO, "Latencies")


_Timed = tuple[CellRow, Record, list[Process]]


def _overview(page: Page, workload: str, timed: Sequence[_Timed]) -> Plot:
    names = [short_key(row) for row, _, _ in timed]
    known = [(place, row) for place, (row, _, _) in enumerate(timed) if row.latency_interval_s]
    around = [row.latency_interval_s for _, row in known if row.latency_interval_s]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": "the cell, with its interval",
            "mode": "markers",
            "x": [one.value for one in around],
            "y": [place for place, _ in known],
            "error_x": {**figures.errors(around, "$series2"), "thickness": 2, "width": 6},
            "marker": {"symbol": "line-ns", "size": 14, "line": {"width": 3, "color": "$series2"}},
            "hovertext": [figures.lines(short_key(row), latency_text(row)) for _, row in known],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "meta": {"links": [latency_place(row.cell) for _, row in known]},
        },
        _dots("one process", "$series1", "circle", [(row, found) for row, _, found in timed]),
    ]
    beside = [_beside(page, row) for row, _, _ in timed]
    if any(beside):
        pairs = [(row, found) for (row, _, _), found in zip(timed, beside, strict=True)]
        data.append(_dots("of the baseline, beside it", "$series5", "diamond", pairs))
    values = [one.median_s for _, _, found in timed for one in found]
    figure = {
        "data": data,
        "layout": {
            "xaxis": figures.log_axis("latency", figures.log_range(values), words.seconds),
            "yaxis": figures.names(names),
        },
    }
    caption = f"{plain(workload)}: latency of each process"
    lines = [_line(row, found) for row, _, found in timed]
    columns = ("cell", "latency", "processes", "fastest process", "slowest process")
    table = Table(caption, columns, lines)
    return Plot(caption, figure, table, figures.height_of(len(timed)))


def _beside(page: Page, row: CellRow) -> list[Process]:
    record = page.run.beside.get(row.cell.id)
    return [] if record is None else processes(record, {})


def _dots(
    name: str, colour: str, symbol: str, found: Sequence[tuple[CellRow, list[Process]]]
) -> dict[str, Any]:
    points = [
        (place, row, one) for place, (row, them) in enumerate(found) for one in them if not one.part
    ]
    return {
        "type": "scatter",
        "name": name,
        "mode": "markers",
        "x": [one.median_s for _, _, one in points],
        "y": [place for place, _, _ in points],
        "marker": {"symbol": symbol, "size": 7, "color": colour, "opacity": 0.75},
        "text": [f"process {one.round}: {words.seconds(one.median_s)}" for _, _, one in points],
        "hovertemplate": "%{text}<extra></extra>",
        "meta": {"links": [latency_place(row.cell) for _, row, _ in points]},
    }


def _line(row: CellRow, found: Sequence[Process]) -> tuple[Value, ...]:
    medians = [one.median_s for one in found]
    around = row.latency_interval_s
    ends = (around.low, around.high) if around else (None, None)
    return (
        said(short_key(row), link=latency_place(row.cell)),
        Value(latency_text(row), row.latency_s, *ends),
        count(len(found)),
        number(min(medians), words.seconds),
        number(max(medians), words.seconds),
    )


def _cell(row: CellRow, record: Record, found: Sequence[Process]) -> Fold:
    told = latency_text(row) or "not known"
    alone = " · not measured together with others" if NOT_TOGETHER in record.labels else ""
    count_of = f"{len(found)} process{'es' * (len(found) != 1)}"
    summary = f"{plain(short_key(row))} · {told} · {count_of}{alone}"
    caption = f"{plain(row.key)}: every process"
    table = Table(caption, _COLUMNS, [_process(one) for one in found], lazy=True)
    caption = f"{plain(row.key)}: median of each slice"
    plot = Plot(caption, _slices(found), table, 300, packed=True)
    return Fold(summary, (plot,), id=latency_place(row.cell))


def _process(one: Process) -> tuple[Value, ...]:
    name = f"{one.round}" + (f", part {one.part}" if one.part else "")
    more = len(one.together) - _NAMED
    others = ", ".join(one.together[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return (
        Value(name),
        count(one.calls),
        number(one.median_s, words.seconds),
        number(one.fastest_s, words.seconds),
        number(one.slowest_s, words.seconds),
        count(len(one.slices_s)),
        said(others or "none"),
    )


def _slices(found: Sequence[Process]) -> dict[str, Any]:
    """Return a plot of the slices, process after process, in the order in which they were timed."""
    data, begin, ticks = [], 0, []
    for place, one in enumerate(found):
        count_of = len(one.slices_s)
        data.append(
            {
                "type": "scatter",
                "name": f"process {one.round}" + (f", part {one.part}" if one.part else ""),
                "mode": "lines+markers",
                "x0": begin,
                "dx": 1,
                "y": list(one.slices_s),
                "line": {"width": 1, "color": figures.series(place % 2)},
                "marker": {"size": 4, "color": figures.series(place % 2)},
                "hovertemplate": "%{y:.4s}s<extra>%{fullData.name}</extra>",
            }
        )
        ticks.append(begin + (count_of - 1) / 2)
        begin += count_of + 1
    return {
        "data": data,
        "layout": {
            "showlegend": False,
            "xaxis": {
                "title": {"text": "process, and its slices from left to right"},
                "tickvals": ticks,
                "ticktext": [str(one.round) for one in found],
                "showgrid": False,
                "zeroline": False,
            },
            "yaxis": figures.seconds_axis("latency", rangemode="tozero"),
        },
    }
