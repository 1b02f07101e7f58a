"""The table of all cells, which everything else leads to."""

from __future__ import annotations

from perfsuite.report import words
from perfsuite.report.html.blocks import Block, Section, Table, Text, Tone, Value
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.sections.answer import tone_of
from perfsuite.report.html.values import number, said, worded
from perfsuite.report.tables.cell_rows import CellRow, plain
from perfsuite.report.tables.rounding import rounding_text
from perfsuite.report.tables.texts import (
    accuracy_text,
    instruction_sets_text,
    latency_text,
    loss_text,
    metric_text,
    pace_text,
    row_symbol,
    speedup_text,
)

_COLUMNS = (
    *("cell", "verdict", "latency", "speed-up", "accuracy", "points lost", "memory", "size"),
    *("MACs", "instructions", "notes"),
)


def cells(page: Page) -> Section:
    """Return one table of all cells, and what went wrong in those that failed."""
    blocks: list[Block] = []
    if page.rows:
        blocks.append(Table("All cells of the run", _COLUMNS, [_line(row) for row in page.rows]))
    else:
        blocks.append(Text(("The run has no cells.",), "unsure"))
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
        said(instruction_sets_text(row)),
        said(_notes(row)),
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


def _notes(row: CellRow) -> str:
    notes = [*row.labels, rounding_text(row), pace_text(row), row.expected or row.error]
    return "; ".join(one for one in notes if one)


def _output(row: CellRow) -> Text:
    told = (f"{plain(row.key)}: the last lines of its output", *map(plain, row.output))
    return Text(told, "bad")
