"""The table of all cells, which everything else leads to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.report import words
from perfsuite.report.html.blocks import Block, Section, Table, Text, Tone, Value, filled
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.sections.answer import tone_of
from perfsuite.report.html.values import number, said, worded
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key
from perfsuite.report.tables.inputs import inputs_text
from perfsuite.report.tables.rounding import rounding_text
from perfsuite.report.tables.texts import (
    accuracy_text,
    latency_text,
    loss_text,
    metric_text,
    pace_text,
    row_symbol,
    speedup_text,
)

_COLUMNS = (
    *("cell", "verdict", "latency", "speed-up", "accuracy", "points lost", "memory", "size"),
    *("MACs", "inputs"),
)
_NAMED = 6  # cells that share a note


def cells(page: Page) -> Section:
    """Return one table of all cells, and what went wrong in those that failed."""
    blocks: list[Block] = []
    if page.rows:
        blocks.append(filled("All cells of the run", _COLUMNS, [_line(row) for row in page.rows]))
    else:
        blocks.append(Text(("The run has no cells.",), "unsure"))
    blocks += _notes(page)
    blocks += [_output(row) for row in page.rows if row.output]
    return Section("cells", "Cells", blocks, _INTRO)


_INTRO = (
    "A speed-up is against the reference cell of the same workload and batch, measured in turns "
    "with it. After each figure stands its 95 % interval."
)


def _line(row: CellRow) -> tuple[Value, ...]:
    around = row.latency_interval_s
    low, high = (around.low, around.high) if around else (None, None)
    return (
        Value(plain(row.key), id=cell_place(row.cell)),
        said(_verdict(row), tone=_tone(row)),
        Value(latency_text(row), row.latency_s, low, high),
        worded(speedup_text(row), row.speedup) if row.speedup else said(speedup_text(row)),
        Value(_accuracy(row), row.accuracy),
        worded(loss_text(row.loss_points), row.loss_points),
        number(row.run_peak_bytes, words.size),
        number(row.artifact_bytes, words.size),
        number(row.macs, lambda one: _macs(row, one)),
        said(inputs_text(row)),
    )


def _verdict(row: CellRow) -> str:
    if row.expected or row.status != "ok":
        return f"{row_symbol(row)} {row.status}"
    return f"{row_symbol(row)} {(row.verdict or '').replace('_', ' ')}".strip()


def _tone(row: CellRow) -> Tone:
    if row.expected:
        return "quiet"
    if row.status != "ok":
        return "bad" if row.status == "failed" else "unsure"
    return tone_of(row.verdict) if row.verdict else ""


def _accuracy(row: CellRow) -> str:
    if row.accuracy is None:
        return ""
    return f"{plain(metric_text(row.accuracy_metric, row))} {accuracy_text(row)}"


def _macs(row: CellRow, value: float) -> str:
    least = "at least " if row.uncounted else ""
    return least + words.quantity(value, "1")


def _notes(page: Page) -> Iterator[Table]:
    """Yield a table of what is to be known of cells, once for all that share it; errors first."""
    found: dict[str, list[CellRow]] = {}
    for row in sorted(page.rows, key=lambda row: not row.error or bool(row.expected)):
        for note in (row.expected or row.error, *row.labels, pace_text(row), rounding_text(row)):
            if note:
                found.setdefault(plain(note), []).append(row)
    if found:
        lines = [(said(_named(rows, page)), Value(note)) for note, rows in found.items()]
        yield Table("Notes on cells", ("cells", "note"), lines)


def _named(rows: Sequence[CellRow], page: Page) -> str:
    if len(rows) == len(page.rows) > 1:
        return "all cells"
    names = [row.key if len(page.groups) > 1 else short_key(row) for row in rows[:_NAMED]]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _output(row: CellRow) -> Text:
    told = (f"{plain(row.key)}: the last lines of its output", *map(plain, row.output))
    return Text(told, "bad")
