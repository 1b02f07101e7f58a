"""The breakdown of a call, as a tree for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow, Roofline
from perfsuite.judge.bottleneck import bottleneck, profiling_cost
from perfsuite.report import words
from perfsuite.report.fitting import broken
from perfsuite.report.formats.markdown import escape
from perfsuite.report.sentences import bottleneck_sentences, profiling_sentences
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.tables.uncounted import operators_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

COLUMNS = ("", "time", "share", "MACs", "parameters", "bytes", "GFLOP/s")
_UNKNOWN = "?"
_BAR, _GAP, _NAME = 12, 2, 16  # characters: of a bar, between columns, of names at least
_NAMED = 10  # of a name alone, without its branches
_WITH_BARS, _WITH_SIZES = 100, 84  # columns of the terminal
_CROSSING = 5  # kernels to name
_SMALL, _FEW = 0.005, 2  # of the call; operators that are shown however small they are
_ASCII = str.maketrans({"├": "|", "└": "`", "─": "-", "│": "|", "█": "#", "µ": "u", "≥": ">="})


class TreeLine(NamedTuple):
    """One line of the tree: the branches before its name, the name under its parent, its row."""

    branches: str
    name: str
    row: BreakdownRow


def tree_lines(breakdown: Breakdown, depth: int | None = None) -> list[TreeLine]:
    """Return the rows from the top down to `depth` levels (all by default), in their order.

    Several operators of one parent that take almost no time are shown as one row.
    """
    small_s = _SMALL * breakdown.total_s
    return [one for row in breakdown.rows for one in _below(row, None, "", "", depth, small_s)]


def _with_total(breakdown: Breakdown, depth: int | None) -> list[TreeLine]:
    return [*tree_lines(breakdown, depth), TreeLine("", "total", _total(breakdown))]


def _below(
    row: BreakdownRow,
    parent: BreakdownRow | None,
    here: str,
    further: str,
    depth: int | None,
    small_s: float,
) -> Iterator[TreeLine]:
    yield TreeLine(here, _short(row, parent), row)
    if depth is not None and depth <= 1:
        return
    left = None if depth is None else depth - 1
    children = folded(row.children, small_s)
    for index, child in enumerate(children):
        last = index == len(children) - 1
        branch, go_on = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _below(child, row, further + branch, further + go_on, left, small_s)


def folded(rows: Sequence[BreakdownRow], small_s: float) -> list[BreakdownRow]:
    """Return the rows, with operators of less than `small_s` seconds joined into a last row."""
    small = [row for row in rows if row.level == "operator" and row.time_s < small_s]
    if len(small) <= _FEW:
        return list(rows)
    together = _together(f"{len(small)} small operators", "operator", small)
    return [row for row in rows if row not in small] + [together]


def _short(row: BreakdownRow, parent: BreakdownRow | None) -> str:
    """Return the name without the part that is the parent's name."""
    for joint in "./":
        if parent and row.name.startswith(parent.name + joint):
            return plain(row.name[len(parent.name) + 1 :])
    return plain(row.name)


@dataclass(frozen=True)
class Tree:
    """A breakdown that rich can print: the rows, the total, and sentences on the bottleneck.

    `latency_s` is that of the measured processes, which are not profiled.
    """

    breakdown: Breakdown
    roofline: Roofline | None = None
    depth: int | None = None
    latency_s: float | None = None
    uncounted: Mapping[str, int] = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, with fewer columns on a narrow terminal, and the sentences."""
        from rich.cells import cell_len
        from rich.table import Table
        from rich.text import Text

        def told(value: str) -> str:
            return value.translate(_ASCII) if options.ascii_only else value

        def text(value: str, style: str = "") -> Text:
            return Text(told(value), style)

        width = options.max_width
        hidden = {"parameters", "bytes"} if width < _WITH_SIZES else set()
        found = [
            *tree_lines(self.breakdown, self.depth),
            TreeLine("", "total", _total(self.breakdown)),
        ]
        lines = [tuple(map(told, _cells(one, self.breakdown))) for one in found]
        widths = {
            column: max(map(cell_len, (column, *values)))
            for column, *values in zip(COLUMNS, *lines, strict=True)
            if column not in hidden
        }
        bars = width >= _WITH_BARS
        # Names that are too long take further lines, numbers never do.
        room = width - sum(widths[name] + _GAP for name in widths if name) - bars * (_BAR + _GAP)
        widths[""] = max(_NAME, min(widths[""], room - _GAP))
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
        for column, needed in widths.items():
            table.add_column(
                column, justify="right" if column else "left", no_wrap=True, width=needed
            )
            if column == "share" and bars:
                table.add_column("", width=_BAR)
        for one, line in zip(found, lines, strict=True):
            style = {"stage": "bold", "module": "", "operator": "", "rest": "dim"}[one.row.level]
            cells = []
            for column, value in zip(COLUMNS, line, strict=True):
                if column not in hidden:
                    cells.append(text(value if column else _name(one, widths[""]), style))
                if column == "share" and bars:
                    bar = "" if one is found[-1] else _bar(one.row, self.breakdown)
                    cells.append(text(bar, "cyan"))
            table.add_row(*cells)
        yield table
        for sentence in sentences(self.breakdown, self.roofline, self.latency_s, self.uncounted):
            yield text(sentence)


def render(
    breakdown: Breakdown,
    roofline: Roofline | None = None,
    *,
    depth: int | None = None,
    latency_s: float | None = None,
    uncounted: Mapping[str, int] | None = None,
) -> str:
    """Return the breakdown as Markdown: a table, indented by level, and a list of sentences."""
    found = _with_total(breakdown, depth)
    lines = [_line(COLUMNS), _line(["---", *["---:"] * (len(COLUMNS) - 1)])]
    for one in found:
        indent = "&nbsp;" * len(one.branches)
        name, *numbers = (escape(value) for value in _cells(one, breakdown, branches=False))
        lines.append(_line([indent + name, *numbers]))
    said = [f"- {escape(one)}" for one in sentences(breakdown, roofline, latency_s, uncounted)]
    return "\n".join([*lines, "", *said]) + "\n"


def sentences(
    breakdown: Breakdown,
    roofline: Roofline | None,
    latency_s: float | None,
    uncounted: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """Return the bottleneck, what profiling costs, and what was fused across stages, in words.

    Then which operators have no formula, if the model has such.
    """
    found = [
        *bottleneck_sentences(bottleneck(breakdown, roofline, latency_s)),
        *profiling_sentences(profiling_cost(breakdown, latency_s)),
    ]
    crossing = [plain(name) for name in breakdown.crossing]
    if crossing:
        more = len(crossing) - _CROSSING
        named = "; ".join(crossing[:_CROSSING]) + (f"; and {more} more" if more > 0 else "")
        found.append(f"Fused across stages, counted under the most expensive operator: {named}.")
    if uncounted:
        operators = operators_text(uncounted)
        found.append(f"MACs are only a part: there is no formula for {operators}.")
    return tuple(found)


def _name(one: TreeLine, width: int) -> str:
    """Return the branches and the name, in further lines where it is too long for one.

    Of branches that would take it all, those of the upper levels are left out.
    """
    branches = one.branches[-(max(0, width - _NAMED) // 3 * 3) :] if one.branches else ""
    further = branches.replace("├─ ", "│  ").replace("└─ ", "   ")
    first, *others = broken(one.name, width - len(branches))
    return "\n".join([branches + first, *(further + line for line in others)])


def _total(breakdown: Breakdown) -> BreakdownRow:
    """Return a row for the whole call; sums of unknown values are None."""
    parts = [row for row in breakdown.rows if row.name != OVERHEAD]
    return msgspec.structs.replace(
        _together("total", "stage", parts),
        time_s=breakdown.total_s,
        children=tuple(parts),
    )


def _together(
    name: str, level: Literal["stage", "operator"], rows: Sequence[BreakdownRow]
) -> BreakdownRow:
    return BreakdownRow(
        name,
        level,
        sum(row.time_s for row in rows),
        _sum([row.macs for row in rows]),
        _sum([row.parameters for row in rows]),
        _sum([row.bytes for row in rows]),
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _cells(one: TreeLine, breakdown: Breakdown, *, branches: bool = True) -> tuple[str, ...]:
    """Return the texts of one line, in the order of `COLUMNS`."""
    row = one.row
    name = one.branches * branches + one.name
    time, share = words.seconds(row.time_s), words.percent(_share(row, breakdown))
    if row.level == "rest" and row.name == OVERHEAD:
        return (name, time, share, "", "", "", "")
    return (
        name,
        time,
        share,
        _macs_text(row),
        _UNKNOWN if row.parameters is None else _count(row.parameters),
        _UNKNOWN if row.bytes is None else words.size(row.bytes) if row.bytes else "",
        words.number(2 * row.macs / row.time_s / 1e9) if row.macs and row.time_s > 0 else "",
    )


def _macs_text(row: BreakdownRow) -> str:
    """Return the MACs; of a row that was counted in part, that they are no fewer than these."""
    if row.macs is not None:
        return _count(row.macs)
    part = _counted(row)
    return f"≥ {_count(part)}" if part else _UNKNOWN


def _counted(row: BreakdownRow) -> int:
    return sum(map(_counted, row.children)) if row.macs is None else row.macs


def _count(value: int) -> str:
    return words.quantity(value, "1") if value else ""


def _share(row: BreakdownRow, breakdown: Breakdown) -> float:
    return row.time_s / breakdown.total_s if breakdown.total_s > 0 else 0.0


def _bar(row: BreakdownRow, breakdown: Breakdown) -> str:
    return "█" * round(_BAR * _share(row, breakdown))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
