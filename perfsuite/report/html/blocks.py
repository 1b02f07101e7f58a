"""The blocks that sections of the page are made of; `templates/` has one file for each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from perfsuite.domain.pictures import Box

# How a text is coloured, beside what it says: colours add nothing to words.
Tone = Literal["", "good", "bad", "unsure", "quiet"]

_LONG = 32  # characters, from which on a column has room for several words in a line


@dataclass(frozen=True)
class Value:
    """What stands in one field of a table: a text, and the number that it tells, if it does.

    The page has the full number beside the text, with the ends of its interval, so that programs
    and sorting need not read the text. `link` is the id of another place on the page, `page` the
    address of another page.
    """

    text: str
    number: float | None = None
    low: float | None = None
    high: float | None = None
    link: str = ""
    tone: Tone = ""
    id: str = ""  # under which other places on the page find it
    prose: bool = False  # a sentence that tells the number among other things
    page: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph, or several with one tone; `command` is what to type, shown to be copied."""

    paragraphs: tuple[str, ...]
    tone: Tone = ""
    command: str = ""
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Heading:
    """A heading inside of a section."""

    text: str
    id: str = ""
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True)
class Card:
    """One figure that is to be seen first, what it is of, and what is said about it."""

    title: str
    figure: Value
    unit: str  # what the figure is, such as `faster than fp32/pytorch`
    sentences: tuple[str, ...] = ()
    name: str = ""  # of what has the figure


@dataclass(frozen=True)
class Cards:
    """Cards beside each other."""

    cards: Sequence[Card]
    kind: Literal["cards"] = "cards"


@dataclass(frozen=True)
class Table:
    """A table that sorts, and filters where it is long. The first column heads the rows.

    A column with numbers is aligned right. Of a `lazy` table a page that has many of them keeps
    only the data, and the browser makes the table when it is first looked at.
    """

    caption: str
    columns: tuple[str, ...]
    lines: Sequence[Sequence[Value]]
    lazy: bool = False
    kind: Literal["table"] = "table"

    @property
    def compact(self) -> list[list[Any]]:
        """Return the lines for the browser: a text alone, or with what follows it in a `Value`."""
        return [[_compact(value) for value in line] for line in self.lines]

    @cached_property
    def kinds(self) -> tuple[Literal["number", "wide", ""], ...]:
        """Return which columns have numbers, and which have long texts."""
        return tuple(map(self._kind, range(len(self.columns))))

    def _kind(self, place: int) -> Literal["number", "wide", ""]:
        values = [line[place] for line in self.lines]
        if any(one.number is not None and not one.prose for one in values):
            return "number"
        return "wide" if any(len(one.text) > _LONG for one in values) else ""


@dataclass(frozen=True)
class Plot:
    """A plot, and the table behind it, which says in text what the plot shows.

    `figure` has Plotly's `data` and `layout`. Its colours are names of the style, such as
    `$series1`, which the browser replaces, so that they follow the light or dark theme.
    """

    title: str
    figure: dict[str, Any]
    table: Table
    height: int = 420  # pixels
    packed: bool = False  # its data are compressed, as it is seen only when a fold is opened
    kind: Literal["plot"] = "plot"


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens them."""

    summary: str
    blocks: Sequence[Block]
    id: str = ""
    tone: Tone = ""
    open: bool = False
    kind: Literal["fold"] = "fold"


@dataclass(frozen=True)
class Folds:
    """Several `Fold`s, which can be filtered where there are many."""

    what: str  # they are of, such as `cell`
    folds: Sequence[Fold]
    kind: Literal["folds"] = "folds"


@dataclass(frozen=True)
class View:
    """A picture with something drawn over it, its caption, and what it shows in words.

    `shades` are paths over `grid`, columns and rows, each with how dark it is.
    """

    caption: str
    told: str
    boxes: Sequence[Box] = ()
    shades: Sequence[tuple[float, str]] = ()
    grid: tuple[int, int] = (1000, 1000)


@dataclass(frozen=True)
class Shot:
    """One sample: its image, of which each view shows the same, `shown` pixels wide, and words."""

    image: str
    width: int
    height: int
    shown: int
    views: Sequence[View]
    words: str = ""


@dataclass(frozen=True)
class Shots:
    """Samples beside each other. `images` are those that stand here first, as `data:` addresses."""

    images: dict[str, str]
    shots: Sequence[Shot]
    kind: Literal["shots"] = "shots"


Block = Text | Heading | Cards | Table | Plot | Fold | Folds | Shots


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    id: str
    title: str
    blocks: Sequence[Block]
    intro: str = ""
    short: str = ""  # the title among the links at the top, if it is another


def filled(caption: str, columns: Sequence[str], lines: Sequence[Sequence[Value]]) -> Table:
    """Return a table without the columns in which nothing stands, but for the first."""
    kept = [
        place for place in range(len(columns)) if not place or any(one[place].text for one in lines)
    ]
    return Table(
        caption,
        tuple(columns[place] for place in kept),
        [tuple(line[place] for place in kept) for line in lines],
    )


def text(*paragraphs: str, tone: Tone = "", command: str = "") -> Text:
    """Return these paragraphs."""
    return Text(paragraphs, tone, command)


def _compact(value: Value) -> str | list[Any]:
    fields = [value.text, value.number, value.low, value.high, value.link, value.tone]
    while not fields[-1] and fields[-1] != 0.0 and len(fields) > 1:
        fields.pop()
    return value.text if len(fields) == 1 else fields
