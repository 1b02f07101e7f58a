"""Where the time goes: stages as stacked bars, the bottleneck, and each call as an icicle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.record import Record
from perfsuite.judge import metrics, trouble, without_breakdown
from perfsuite.judge.bottleneck import Bottleneck, bottleneck, profiling_cost
from perfsuite.report import words
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Block, Fold, Folds, Heading, Plot, Section, Table, Value
from perfsuite.report.html.blocks import text as paragraphs
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import breakdown_place
from perfsuite.report.html.values import number, said
from perfsuite.report.profile.tree import folded
from perfsuite.report.sentences import bottleneck_sentences, profiling_sentences, reason_text
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key

_INTRO = (
    "One call on average, from a profile of the artifact that was timed. The end-to-end latencies "
    "above were measured without any profiler. The hatched part holds the cell back most."
)
_NO_ROOFLINE = (
    "There is no roofline: what the machine can reach was not measured. `roofline = true` in the "
    "suite measures it, and `perfsuite profile` always does."
)
_SMALL = 0.005  # of a call: smaller operators of one parent are shown as one


class Profiled(NamedTuple):
    """A cell with its breakdown, and what holds it back."""

    row: CellRow
    record: Record
    breakdown: Breakdown
    held_by: Bottleneck | None


def stages(page: Page) -> Section | None:
    """Return a plot of the stages for each workload, and an icicle for each cell."""
    blocks: list[Block] = []
    for workload, rows in page.groups.items():
        found = [one for row in rows if (one := _profiled(page, row)) is not None]
        lacking = [line for row in rows if (line := _lacking(page, row)) is not None]
        if not found and not lacking:
            continue
        blocks.append(Heading(plain(workload)))
        if found:
            blocks += [_bars(workload, found), Folds("cell", [_cell(one) for one in found])]
        if lacking:
            blocks.append(Table("Cells without a breakdown", ("cell", "why"), lacking))
    if not any(one.kind == "plot" for one in blocks):
        return None
    if all(one.roofline is None for one in page.run.records.values()):
        blocks.append(paragraphs(_NO_ROOFLINE, tone="quiet"))
    return Section("stages", "Where the time goes", blocks, _INTRO, "Stages")


def _profiled(page: Page, row: CellRow) -> Profiled | None:
    record = page.run.records.get(row.cell.id)
    if record is None or record.breakdown is None or record.breakdown.total_s <= 0.0:
        return None
    held_by = bottleneck(record.breakdown, record.roofline, metrics.typical_latency(record))
    return Profiled(row, record, record.breakdown, held_by)


def _lacking(page: Page, row: CellRow) -> tuple[Value, Value] | None:
    record = page.run.records.get(row.cell.id)
    if record is None or record.breakdown is not None or row.cell.switch:
        return None
    reason = reason_text(trouble(record) or without_breakdown(record))
    return (said(short_key(row)), said(row.expected or reason))


def _bars(workload: str, found: Sequence[Profiled]) -> Plot:
    names = list(dict.fromkeys(row.name for one in found for row in one.breakdown.rows))
    rest = [one for one in (OVERHEAD, UNATTRIBUTED) if one in names]
    names = [one for one in names if one not in rest] + rest
    figure = {
        "data": [_bar(name, place, found) for place, name in enumerate(names)],
        "layout": {
            "barmode": "stack",
            "bargap": 0.3,
            "legend": {"traceorder": "normal"},
            "xaxis": figures.seconds_axis("one profiled call"),
            "yaxis": figures.names([short_key(one.row) for one in found]),
        },
    }
    caption = f"{plain(workload)}: the stages of one profiled call"
    columns = ("cell", "profiled call", *map(plain, names), "what holds it back")
    table = Table(caption, columns, [_line(one, names) for one in found])
    return Plot(caption, figure, table, figures.height_of(len(found)) + 30)


def _time(one: Profiled, name: str) -> float | None:
    times = [row.time_s for row in one.breakdown.rows if row.name == name]
    return sum(times) if times else None


def _bar(name: str, place: int, found: Sequence[Profiled]) -> dict[str, Any]:
    grey = {OVERHEAD: "$muted", UNATTRIBUTED: "$line"}
    colour = grey.get(name, figures.series(place))
    held = [one.held_by is not None and one.held_by.row.name == name for one in found]
    times = [_time(one, name) for one in found]
    return {
        "type": "bar",
        "orientation": "h",
        "name": figures.label(name, 28),
        "x": times,
        "y": list(range(len(found))),
        "marker": {
            "color": colour,
            "line": {"width": 1, "color": "$paper"},
            "pattern": {
                "shape": ["/" if one else "" for one in held],
                "bgcolor": colour,
                "fgcolor": "$paper",
                "fgopacity": 0.55,
                "size": 7,
                "solidity": 0.25,
            },
        },
        "hovertext": [
            "" if time is None else _share(name, time, one.breakdown.total_s)
            for one, time in zip(found, times, strict=True)
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {"links": [breakdown_place(one.row.cell) for one in found]},
    }


def _share(name: str, time_s: float, total_s: float) -> str:
    return figures.lines(name, f"{words.seconds(time_s)}, {words.percent(time_s / total_s)}")


def _line(one: Profiled, names: Sequence[str]) -> tuple[Value, ...]:
    said_of = bottleneck_sentences(one.held_by)
    first = next((text for text in said_of if "left out here" not in text), "")
    return (
        said(short_key(one.row), link=breakdown_place(one.row.cell)),
        number(one.breakdown.total_s, words.seconds),
        *(number(_time(one, name), words.seconds) for name in names),
        said(first),
    )


def _cell(one: Profiled) -> Fold:
    latency_s = metrics.typical_latency(one.record)
    cost = profiling_sentences(profiling_cost(one.breakdown, latency_s))
    told = tuple(map(plain, (*bottleneck_sentences(one.held_by), *cost)))
    nodes = list(_nodes(one.breakdown))
    caption = f"{plain(one.row.key)}: one profiled call by stage, module and operator"
    table = Table(caption, _COLUMNS, [_node_line(node, one) for node in nodes], lazy=True)
    plot = Plot(caption, _icicle(nodes, one.breakdown), table, 460, packed=True)
    crossing = one.breakdown.crossing
    more = (
        [paragraphs(f"Fused across stages: {plain(', '.join(crossing))}", tone="quiet")]
        if crossing
        else []
    )
    holder = one.held_by.row.name if one.held_by is not None else "nothing"
    summary = (
        f"{plain(short_key(one.row))} · {words.seconds(one.breakdown.total_s)} · most of it in "
        f"{plain(holder)}"
    )
    blocks: list[Block] = [paragraphs(*told), plot, *more]
    return Fold(summary, blocks, id=breakdown_place(one.row.cell))


class Node(NamedTuple):
    """A part of a call: its row, its place among all, that of its parent, and how deep it lies."""

    row: BreakdownRow
    parent: int
    depth: int
    name: str  # without that of its parent


def _nodes(breakdown: Breakdown) -> Iterator[Node]:
    """Yield the parts of a call, each after the one that holds it."""
    small_s = _SMALL * breakdown.total_s
    waiting = [(row, -1, 0, plain(row.name)) for row in reversed(breakdown.rows)]
    place = 0
    while waiting:
        row, parent, depth, name = waiting.pop()
        if row.time_s <= 0.0:
            continue
        yield Node(row, parent, depth, name)
        waiting += [
            (child, place, depth + 1, _below(child.name, row.name))
            for child in reversed(folded(row.children, small_s))
        ]
        place += 1


def _below(name: str, parent: str) -> str:
    for joint in "./":
        if name.startswith(parent + joint):
            return plain(name[len(parent) + 1 :])
    return plain(name)


_COLUMNS = ("part", "kind", "time", "share", "MACs", "bytes", "GFLOP/s")


def _node_line(node: Node, one: Profiled) -> tuple[Value, ...]:
    row, total_s = node.row, one.breakdown.total_s
    rate = None if not row.macs else _rounded(2 * row.macs / row.time_s)
    return (
        Value("\u2003" * node.depth + node.name),
        Value(row.level),
        number(row.time_s, words.seconds),
        number(_rounded(row.time_s / total_s), words.percent),
        number(row.macs, lambda one: words.quantity(one, "1")),
        number(row.bytes, words.size),
        number(rate, lambda one: words.number(one / 1e9)),
    )


def _rounded(value: float) -> float:
    """Return what follows from two numbers beside it, which need not be told in full."""
    return float(f"{value:.6g}")


def _icicle(nodes: Sequence[Node], breakdown: Breakdown) -> dict[str, Any]:
    """Return the call as an icicle; a part's own value is what its children leave of its time."""
    own = [node.row.time_s for node in nodes]
    for node in nodes:
        if node.parent >= 0:
            own[node.parent] -= node.row.time_s
    tops = {name: place for place, name in enumerate(row.name for row in breakdown.rows)}
    grey = {OVERHEAD: "$muted", UNATTRIBUTED: "$line"}
    colours: list[str] = []
    for node in nodes:
        top = grey.get(node.row.name, figures.series(tops.get(node.row.name, 0)))
        colours.append(top if node.parent < 0 else colours[node.parent])
    return {
        "data": [
            {
                "type": "icicle",
                "ids": ["call", *(str(place) for place in range(len(nodes)))],
                "labels": ["one call", *(figures.label(node.name, 60) for node in nodes)],
                "parents": ["", *("call" if one.parent < 0 else str(one.parent) for one in nodes)],
                "values": [0.0, *(_rounded(max(0.0, one)) for one in own)],
                "hovertext": [
                    figures.lines("one call", words.seconds(breakdown.total_s)),
                    *(figures.lines(one.name, words.seconds(one.row.time_s)) for one in nodes),
                ],
                "marker": {
                    "colors": ["$raised", *colours],
                    "line": {"width": 1, "color": "$paper"},
                },
                "tiling": {"orientation": "v"},
                "pathbar": {"visible": True, "thickness": 22},
                "textinfo": "label",
                "sort": False,
                "hoverinfo": "text",
            }
        ],
        "layout": {"margin": {"l": 5, "r": 5, "t": 30, "b": 5}},
    }
