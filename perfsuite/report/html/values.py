"""Fields of tables: the text for people, beside the full number."""

from __future__ import annotations

from collections.abc import Callable

from perfsuite.domain.verdict import Interval
from perfsuite.report import words
from perfsuite.report.html.blocks import Tone, Value
from perfsuite.report.tables.cell_rows import plain

EMPTY = Value("")


def said(text: str, *, link: str = "", tone: Tone = "") -> Value:
    """Return a text that may come from anywhere."""
    return Value(plain(text), link=link, tone=tone)


def number(value: float | None, show: Callable[[float], str], tone: Tone = "") -> Value:
    """Return a number as `show` tells it; an empty field for None."""
    return EMPTY if value is None else Value(show(value), value, tone=tone)


def interval(found: Interval | None, show: Callable[[float], str], tone: Tone = "") -> Value:
    """Return `1.2 (1.1 to 1.3)`, by `show`; an empty field for None."""
    if found is None:
        return EMPTY
    told = show(found.value) + words.spread(found, show)
    return Value(told, found.value, found.low, found.high, tone=tone)


def worded(told: str, found: Interval | None, tone: Tone = "") -> Value:
    """Return an interval that a text tells already; an empty field for None."""
    if found is None:
        return EMPTY
    return Value(told, found.value, found.low, found.high, tone=tone)


def count(value: float | None) -> Value:
    """Return a count with separated thousands."""
    return number(value, lambda one: f"{one:,.0f}")
