"""Parts of Plotly's figures that several plots share: labels, axes, intervals, colours."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from perfsuite.domain.verdict import Interval
from perfsuite.report.tables.cell_rows import plain

_COLOURS = 8  # of the style, told apart also by those who see fewer colours
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon", "cross")
_SIDES = (("top", "left"), ("bottom", "right"), ("top", "right"), ("bottom", "left"))
_LABEL = 36  # characters of a name beside an axis
_STEPS = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
    tuple(one / 10 for one in range(10, 100)),
)
_ENOUGH, _MOST = 4, 9  # ticks of a logarithmic axis
_HEIGHT, _ROW = 110, 30  # pixels: of a plot without rows, and of each


def label(text: str, longest: int = _LABEL) -> str:
    """Return a text that may come from anywhere, cut where it is long, for Plotly to show as it is.

    Plotly takes `<b>` and the like for markup in every text, and `%{x}` for a number in templates.
    """
    short = plain(text)
    if len(short) > longest:
        half = longest // 2
        short = f"{short[: longest - half - 1]}…{short[-half:]}"
    return html.escape(short, quote=False).replace("%{", "%&#123;")


def lines(*texts: str) -> str:
    """Return what is shown beside a point: a line for each text that is not empty."""
    return "<br>".join(label(one, 90) for one in texts if one)


def series(place: int) -> str:
    """Return the name of the colour of the series in this place."""
    return f"$series{place % _COLOURS + 1}"


def symbol(place: int) -> str:
    """Return the symbol of the points of the series in this place."""
    return _SYMBOLS[place % len(_SYMBOLS)]


def errors(found: Sequence[Interval], colour: str) -> dict[str, Any]:
    """Return intervals as Plotly draws them, as distances from the values."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, one.high - one.value) for one in found],
        "arrayminus": [max(0.0, one.value - one.low) for one in found],
        "thickness": 1.3,
        "width": 3,
        "color": colour,
    }


def names(texts: Sequence[str], **more: Any) -> dict[str, Any]:
    """Return an axis of rows with names, the first at the top.

    The rows are numbered from 0, as two names may be cut to the same label.
    """
    return {
        "tickvals": list(range(len(texts))),
        "ticktext": [label(one) for one in texts],
        "range": [len(texts) - 0.4, -0.6],
        "zeroline": False,
        "fixedrange": True,
        **more,
    }


def height_of(rows: int) -> int:
    """Return the height of a plot with so many rows, in pixels."""
    return _HEIGHT + _ROW * rows


def log_range(values: Iterable[float]) -> list[float]:
    """Return the ends of a logarithmic axis for these positive values, with a margin."""
    found = [math.log10(one) for one in values if one > 0.0 and math.isfinite(one)] or [0.0]
    margin = max(0.08, 0.08 * (max(found) - min(found)))
    return [min(found) - margin, max(found) + margin]


def range_of(values: Iterable[float]) -> list[float]:
    """Return the ends of an axis for these values, with a margin."""
    found = [one for one in values if math.isfinite(one)] or [0.0]
    margin = max(0.1, 0.1 * (max(found) - min(found)))
    return [min(found) - margin, max(found) + margin]


def inwards(values: Sequence[float], ends: Sequence[float], place: int) -> list[str]:
    """Return where the names of points stand on a logarithmic axis with these ends.

    Each series has a side, by its place; names that could be cut at an edge stand on the other one.
    """
    height, side = _SIDES[place % len(_SIDES)]
    least, most = ends
    edge = (most - least) / 4
    found = []
    for value in values:
        here = math.log10(value) if value > 0.0 else least
        inner = "left" if here > most - edge else "right" if here < least + edge else side
        found.append(f"{height} {inner}")
    return found


def log_axis(title: str, ends: Sequence[float], show: Callable[[float], str]) -> dict[str, Any]:
    """Return a logarithmic axis with few, round ticks, each as `show` tells it."""
    ticks = _ticks(*ends)
    return {
        "type": "log",
        "title": {"text": title},
        "range": list(ends),
        "tickvals": ticks,
        "ticktext": [show(one) for one in ticks],
    }


def _ticks(low: float, high: float) -> list[float]:
    """Return the roundest numbers between 10**low and 10**high that are enough to read an axis."""
    found: list[float] = []
    for steps in _STEPS:
        decades = range(math.floor(low), math.ceil(high) + 1)
        every = (step * 10.0**decade for decade in decades for step in steps)
        found = [one for one in every if low <= math.log10(one) <= high]
        if len(found) >= _ENOUGH:
            break
    return found[:: math.ceil(len(found) / _MOST) or 1]


def seconds_axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis of seconds, whose ticks have a prefix: `1.2ms`."""
    return {"title": {"text": title}, "tickformat": "~s", "ticksuffix": "s", **more}
