"""How the run differs from the one that it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.judge import CellChange, Comparison
from perfsuite.report import words
from perfsuite.report.html import figures
from perfsuite.report.html.blocks import (
    Block,
    Plot,
    Section,
    Table,
    Text,
    Tone,
    Value,
    filled,
    text,
)
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.values import number, said, worded
from perfsuite.report.sentences import change_notes, comparison_warnings
from perfsuite.report.sentences.comparison import TURNED
from perfsuite.report.sentences.since import gains, is_faster, is_slower, loses, since_sentence
from perfsuite.report.tables import accuracies, other_metrics
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.tables.texts import change_text, loss_text, measured_text

_COLUMNS = (
    *("cell", "before", "now", "change of latency", "outcome", "measured", "points lost"),
    "notes",
)
_COLOURS: dict[Tone, str] = {"good": "$series3", "bad": "$series2", "": "$series7"}


def comparison(page: Page) -> Section | None:
    """Return what became faster, slower, more and less accurate; None without another run."""
    found = page.comparison
    if found is None:
        return None
    intro = f"Before: {plain(found.before)}. Now: {plain(found.after)}."
    blocks: list[Block] = [text(f"{TURNED.capitalize()}.", tone="unsure")] if found.turned else []
    blocks.append(text(since_sentence(found), tone=_tone(found)))
    lines = [_line(one) for one in found.changes]
    table = filled("Each cell before and now, with 95 % intervals", _COLUMNS, lines)
    timed = [one for one in found.changes if one.latency_ratio is not None]
    blocks += [_plot(timed), table] if timed else [table] if lines else []
    blocks += _rest(found)
    return Section("comparison", "Against the baseline", blocks, intro, "Changes")


def _tone(found: Comparison) -> Tone:
    if any(is_slower(one) or loses(one) for one in found.changes):
        return "bad"
    return "good" if any(is_faster(one) or gains(one) for one in found.changes) else ""


def _outcome(one: CellChange) -> tuple[str, Tone]:
    if is_slower(one):
        return "slower", "bad"
    if is_faster(one):
        return "faster", "good"
    return ("not proven to differ" if one.latency_ratio is not None else "not compared"), ""


def _line(one: CellChange) -> tuple[Value, ...]:
    outcome, tone = _outcome(one)
    others = (*accuracies.loss_notes(one), *other_metrics.change_notes(one))
    notes = "; ".join((*others, *change_notes(one)))
    lost: Tone = "bad" if loses(one) else "good" if gains(one) else ""
    return (
        said(one.key, link=cell_place(one.cell)),
        _latency(one.before, one.latency_before_s),
        _latency(one.after, one.latency_after_s),
        worded(change_text(one.latency_ratio), one.latency_ratio),
        said(outcome, tone=tone),
        said(measured_text(one)),
        worded(loss_text(one.loss_points), one.loss_points, lost),
        said(notes),
    )


def _latency(status: str, latency_s: float | None) -> Value:
    return said(status) if latency_s is None else number(latency_s, words.seconds)


def _plot(timed: Sequence[CellChange]) -> Plot:
    ratios = [one.latency_ratio for one in timed if one.latency_ratio is not None]
    ends = [end for one in ratios for end in (one.low, one.high)]
    data: list[dict[str, Any]] = []
    for outcome, tone in dict.fromkeys(map(_outcome, timed)):
        own = [(row, one) for row, one in enumerate(timed) if _outcome(one) == (outcome, tone)]
        intervals = [one.latency_ratio for _, one in own if one.latency_ratio is not None]
        colour = _COLOURS[tone]
        data.append(
            {
                "type": "scatter",
                "name": outcome,
                "mode": "markers",
                "x": [one.value for one in intervals],
                "y": [row for row, _ in own],
                "error_x": figures.errors(intervals, colour),
                "marker": {"size": 10, "color": colour, "symbol": _SYMBOLS[tone]},
                "hovertext": [
                    figures.lines(one.key, change_text(one.latency_ratio)) for _, one in own
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
                "meta": {"links": [cell_place(one.cell) for _, one in own]},
            }
        )
    line = {"type": "line", "yref": "paper", "x0": 1, "x1": 1, "y0": 0, "y1": 1}
    figure = {
        "data": data,
        "layout": {
            "xaxis": figures.log_axis(
                "latency now / before", figures.log_range([1.0, *ends]), words.times
            ),
            "yaxis": figures.names(_names(timed)),
            "shapes": [{**line, "line": {"color": "$quiet", "width": 1, "dash": "dash"}}],
        },
    }
    lines = [
        (said(one.key), worded(change_text(one.latency_ratio), one.latency_ratio)) for one in timed
    ]
    caption = "Latency now / before: left of the line is faster"
    behind = Table(caption, ("cell", "change of latency"), lines)
    return Plot(caption, figure, behind, figures.height_of(len(timed)))


def _names(timed: Sequence[CellChange]) -> list[str]:
    """Return the keys, without the workload if it is the same one."""
    alike = len({one.cell.workload for one in timed}) == 1
    return [one.key.removeprefix(f"{one.cell.workload}/" * alike) for one in timed]


_SYMBOLS: dict[Tone, str] = {"good": "triangle-left", "bad": "triangle-right", "": "circle"}


def _rest(found: Comparison) -> list[Block]:
    sides = ((found.only_before, "Only before"), (found.only_after, "Only now"))
    told = [f"{where}: {plain(', '.join(keys))}" for keys, where in sides if keys]
    told += [plain(one) for one in comparison_warnings(found) if one != TURNED]
    return [Text(tuple(told), "quiet")] if told else []
