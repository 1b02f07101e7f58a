"""Tables that fit the terminal: numbers are never wrapped or cut, names and sentences are wrapped.

Where not even the numbers of a line fit beside each other, each line is printed as a paragraph.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

UNBOUNDED = 10_000  # characters of a line
_WORDS = 12  # characters that a column of names or sentences has at least
_INDENT = 4  # of a paragraph
_NUMBER = re.compile(r"[-+±≥≤<>~]*\s*\d|at least \d")
_SHORT = 13  # characters of a word that stands among numbers, such as `unsupported`
_BREAKS = re.compile(r"[^\s/:_.,|-]*[/:_.,|-]+|[^\s/:_.,|-]+|\s+")
_TIED = "\N{NO-BREAK SPACE}"


def print_table(console: Console, columns: Sequence[str], lines: Sequence[Sequence[Text]]) -> None:
    """Print a table without rules: as wide as it needs, at most as wide as the console."""
    from rich.table import Table
    from rich.text import Text

    widths, gap = _widths(columns, lines, console.width)
    if not widths:
        _print_paragraphs(console, columns, lines)
        return
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    for name, width in zip(columns, widths, strict=True):
        table.add_column(Text("\n".join(broken(name, width))), width=width, no_wrap=True)
    for line in lines:
        cells = zip(line, widths, strict=True)
        table.add_row(*(Text("\n".join(broken(c.plain, width)), c.style) for c, width in cells))
    console.print(table)


def broken(text: str, width: int) -> list[str]:
    """Return the lines of a text that are at most `width` wide, broken at blanks and joints."""
    from rich.cells import cell_len, chop_cells

    if cell_len(text) <= width:
        return [text]
    found = [""]
    for part in _BREAKS.findall(text):
        if cell_len((found[-1] + part).rstrip()) <= width:
            found[-1] += part
            continue
        pieces = chop_cells(part.strip(), width) or [""]
        found += pieces if found[-1].strip() else [found.pop() + pieces[0], *pieces[1:]]
    return [line.strip() if place else line.rstrip() for place, line in enumerate(found)]


def listed(names: Mapping[str, str], width: int) -> list[str]:
    """Return a line for each name and what is said of it, wrapped below where the text begins."""
    longest = max(map(len, names), default=0)
    begin = min(longest, width // 3) + 4
    found = []
    for name, text in names.items():
        room = max(_WORDS, width - begin)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        if len(name) + 4 > begin:
            found.append(f"  {name}")
        else:
            found.append(f"  {name:{begin - 4}}  {lines.pop(0)}")
        found += [" " * begin + line for line in lines if line]
    return found


def width_of_output() -> int:
    """Return the width of the terminal; that of logs and pipes is not bounded."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNBOUNDED


def _widths(
    columns: Sequence[str], lines: Sequence[Sequence[Text]], room: int
) -> tuple[list[int], int]:
    """Return the columns' widths and the gap between them; no widths if numbers do not fit."""
    from rich.cells import cell_len

    natural, least = list[int](), list[int]()
    for place, name in enumerate(columns):
        values = [line[place].plain for line in lines]
        longest = max(map(cell_len, values), default=0)
        word = max(map(cell_len, name.split()), default=0)
        natural.append(max(longest, cell_len(name)))
        wordy = any(len(one) > _SHORT and not _NUMBER.match(one) for one in values)
        least.append(max(word, min(longest, _WORDS) if wordy else longest))
    for gap in (2, 1):
        left = room - gap * (len(columns) - 1) - sum(natural)
        if left >= 0:
            return natural, gap
    left = room - (len(columns) - 1) - sum(least)
    if left < 0:
        return [], 1
    while left:  # what is narrowest, of those that could use more, is widened
        short = [place for place, width in enumerate(least) if width < natural[place]]
        if not short:
            break
        least[min(short, key=least.__getitem__)] += 1
        left -= 1
    return least, 1


def _print_paragraphs(
    console: Console, columns: Sequence[str], lines: Sequence[Sequence[Text]]
) -> None:
    """Print each line as what it is of, and below that the name and value of each column."""
    from rich.text import Text

    for line in lines:
        named = [(name, cell) for name, cell in zip(columns, line, strict=True) if cell.plain]
        heading = next((one for one in named if len(one[1].plain) > 1), None)
        before = [cell.plain for name, cell in named if not name and (name, cell) != heading]
        if heading is None:
            continue
        for text in broken(" ".join([*before, heading[1].plain]), console.width):
            console.print(Text(text, heading[1].style))
        parts = [
            f"{name} {cell.plain}".strip().replace(" ", _TIED)
            for name, cell in named
            if name and (name, cell) != heading
        ]
        body = textwrap.wrap("; ".join(parts), max(_WORDS, console.width - _INDENT))
        for text in body:
            console.print(Text(" " * _INDENT + text.replace(_TIED, " ")))
