"""Accuracy lost against speed-up, with what the budgets allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from perfsuite.domain.verdict import Interval
from perfsuite.report import words
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import Block, Plot, Section, Table, Value, text
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.values import said, worded
from perfsuite.report.tables.cell_rows import UNDECIDED, CellRow, plain, short_key
from perfsuite.report.tables.sketch import pareto_front
from perfsuite.report.tables.texts import faster_text, loss_text

_NAMED = 14  # points that all bear their names in the plot; of more, the Pareto front does
_APART = 8.0  # how many times further than the points an interval may stretch the plot
_INTRO = (
    "Further right is faster, further up is more accurate. Lines through a point are its 95 % "
    "intervals; the shaded area is what the budgets allow. An open point breaks a limit. A click "
    "on a point leads to its cell."
)


class Allowed(NamedTuple):
    """What the budgets allow: a speed-up of at least, and points lost of at most, so much."""

    speedup: float | None
    points: float | None


def pareto(page: Page) -> Section | None:
    """Return a plot for each workload with variants that were compared."""
    blocks: list[Block] = []
    for workload, group in page.groups.items():
        compared = [row for row in group if row.speedup is not None and not row.cell.switch]
        if not compared:
            continue
        judged = [row for row in compared if row.loss_points is not None]
        if judged:
            reference = next(row for row in group if row.key == judged[0].reference)
            blocks.append(_plot(workload, judged, reference, allowed(page, group)))
        if len(judged) < len(compared):
            blocks.append(_without_accuracy(workload, compared, judged))
    if not blocks:
        return None
    return Section("pareto", "Accuracy against speed", blocks, _INTRO, "Accuracy and speed")


def allowed(page: Page, group: Sequence[CellRow]) -> Allowed:
    """Return what the budgets on a workload allow against the reference of its rows."""
    references = {row.key: row.reference for row in group}
    ours = [
        one
        for one in page.judgement.verdicts
        if one.limit is not None and references.get(one.cell) == one.against and one.against
    ]
    fast = [one.limit for one in ours if (one.check, one.metric) == ("min_speedup", "latency_s")]
    main = {row.accuracy_metric for row in group}
    drop = [one.limit for one in ours if one.check == "max_drop_points" and one.metric in main]
    return Allowed(
        max((one for one in fast if one is not None), default=None),
        min((one for one in drop if one is not None), default=None),
    )


def _plot(workload: str, group: Sequence[CellRow], reference: CellRow, area: Allowed) -> Plot:
    points = [(row.speedup, row.loss_points) for row in group]
    speeds = [one for one, _ in points if one is not None]
    losses = [one for _, one in points if one is not None]
    across = figures.log_range([1.0, *_ends(speeds), *([area.speedup] if area.speedup else [])])
    down = figures.range_of([0.0, *_spread(losses), *([area.points] if area.points else [])])
    data: list[dict[str, Any]] = []
    if area != Allowed(None, None):
        data.append(_area(area, across, down))
    data.append(_reference(reference))
    named = group if len(group) <= _NAMED else pareto_front(group)
    runtimes = list(dict.fromkeys(row.cell.runtime for row in group))
    for place, runtime in enumerate(runtimes):
        own = [row for row in group if row.cell.runtime == runtime]
        data.append(_points(runtime, own, place, across, named))
    metric = figures.label(group[0].accuracy_metric)
    figure = {
        "data": data,
        "layout": {
            "xaxis": figures.log_axis("speed-up", across, words.times),
            "yaxis": {"title": {"text": f"points of {metric} lost"}, "range": down[::-1]},
        },
    }
    title = f"{plain(workload)}: points lost against speed-up"
    return Plot(title, figure, _table(workload, group), height=460)


def _ends(found: Sequence[Interval]) -> list[float]:
    """Return the values, and the ends of their intervals where these are not far off."""
    values = [one.value for one in found]
    least, most = min(values) / _APART, max(values) * _APART
    return values + [end for one in found for end in (one.low, one.high) if least <= end <= most]


def _spread(found: Sequence[Interval]) -> list[float]:
    values = [one.value for one in found]
    far = _APART * max(1.0, max(values) - min(values))
    ends = [end for one in found for end in (one.low, one.high)]
    return values + [end for end in ends if min(values) - far <= end <= max(values) + far]


def _area(area: Allowed, across: Sequence[float], down: Sequence[float]) -> dict[str, Any]:
    left = area.speedup if area.speedup is not None else 10.0 ** across[0]
    right, top = 10.0 ** across[1], down[0]
    bottom = area.points if area.points is not None else down[1]
    return {
        "type": "scatter",
        "name": "what the budgets allow",
        "x": [left, right, right, left, left],
        "y": [top, top, bottom, bottom, top],
        "mode": "lines",
        "fill": "toself",
        "fillcolor": "$area",
        "line": {"color": "$series3", "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _reference(row: CellRow) -> dict[str, Any]:
    name = figures.label(row.key.removeprefix(f"{row.cell.workload}/"))
    return {
        "type": "scatter",
        "name": f"reference: {name}",
        "x": [1.0],
        "y": [0.0],
        "mode": "markers",
        "marker": {"symbol": "x", "size": 10, "color": "$quiet"},
        "hovertemplate": f"{name}<br>the reference<extra></extra>",
        "meta": {"links": [cell_place(row.cell)]},
    }


def _points(
    runtime: str,
    group: Sequence[CellRow],
    place: int,
    across: Sequence[float],
    named: Sequence[CellRow],
) -> dict[str, Any]:
    speeds = [row.speedup for row in group if row.speedup is not None]
    losses = [row.loss_points for row in group if row.loss_points is not None]
    return {
        "type": "scatter",
        "name": figures.label(runtime),
        "x": [one.value for one in speeds],
        "y": [one.value for one in losses],
        "error_x": figures.errors(speeds, figures.series(place)),
        "error_y": figures.errors(losses, figures.series(place)),
        "mode": "markers+text",
        "text": [figures.label(row.cell.recipe, 24) if row in named else "" for row in group],
        "textposition": figures.inwards([one.value for one in speeds], across, place),
        "textfont": {"size": 11, "color": "$quiet"},
        "cliponaxis": False,
        "marker": {
            "symbol": [
                figures.symbol(place) + ("-open" if _is_broken(row) else "") for row in group
            ],
            "size": 11,
            "color": figures.series(place),
            "line": {"width": 2, "color": figures.series(place)},
        },
        "hovertext": [figures.lines(*_told(row)) for row in group],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {"links": [cell_place(row.cell) for row in group]},
    }


def _is_broken(row: CellRow) -> bool:
    return row.verdict is not None and row.verdict != "pass" and row.verdict not in UNDECIDED


def _told(row: CellRow) -> tuple[str, ...]:
    speed = "" if row.speedup is None else f"speed-up: {faster_text(row.speedup)}"
    verdict = "" if row.verdict is None else row.verdict.replace("_", " ")
    return (short_key(row), speed, f"{loss_text(row.loss_points)} points lost", verdict)


def _table(workload: str, group: Sequence[CellRow]) -> Table:
    lines = [
        (
            said(short_key(row), link=cell_place(row.cell)),
            _speed(row),
            worded(loss_text(row.loss_points), row.loss_points),
            said("" if row.verdict is None else row.verdict.replace("_", " ")),
        )
        for row in group
    ]
    caption = f"{plain(workload)}: speed-up and points lost of each variant"
    return Table(caption, ("cell", "speed-up", "points lost", "verdict"), lines)


def _speed(row: CellRow) -> Value:
    return worded("" if row.speedup is None else faster_text(row.speedup), row.speedup)


def _without_accuracy(
    workload: str, compared: Sequence[CellRow], judged: Sequence[CellRow]
) -> Block:
    """Return the speed-ups of variants whose accuracy was not compared."""
    rest = [row for row in compared if row not in judged]
    caption = f"{plain(workload)}: speed-ups of variants without a comparison of accuracy"
    lines = [(said(short_key(row), link=cell_place(row.cell)), _speed(row)) for row in rest]
    table = Table(caption, ("cell", "speed-up"), lines)
    speeds = [row.speedup for row in rest if row.speedup is not None]
    if not speeds:
        return text(f"{plain(workload)}: nothing was compared.")
    ends = figures.log_range([1.0, *_ends(speeds)])
    figure = {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "x": [one.value for one in speeds],
                "y": list(range(len(rest))),
                "error_x": figures.errors(speeds, "$series1"),
                "marker": {"size": 10, "color": "$series1"},
                "hovertext": [figures.lines(*_told(row)[:2]) for row in rest],
                "hovertemplate": "%{hovertext}<extra></extra>",
                "meta": {"links": [cell_place(row.cell) for row in rest]},
            }
        ],
        "layout": {
            "xaxis": figures.log_axis("speed-up", ends, words.times),
            "yaxis": figures.names([short_key(row) for row in rest]),
            "showlegend": False,
        },
    }
    return Plot(caption, figure, table, figures.height_of(len(rest)))
