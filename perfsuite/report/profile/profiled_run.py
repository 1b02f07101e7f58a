"""A profiled run: each cell's breakdown, for people, for programs, and as a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.profile import Breakdown, Roofline
from perfsuite.domain.record import Record, Run
from perfsuite.domain.shapes import InputShapes, shapes_text
from perfsuite.judge import metrics, trouble, without_breakdown
from perfsuite.judge.bottleneck import bottleneck, profiling_cost
from perfsuite.report.formats.markdown import escape
from perfsuite.report.profile.trace import trace
from perfsuite.report.profile.tree import Tree, render
from perfsuite.report.sentences import (
    bottleneck_sentences,
    caution_sentence,
    profiling_sentences,
    reason_text,
)
from perfsuite.report.tables.cell_rows import plain, title
from perfsuite.report.terminal import as_text, print_warnings, widen

if TYPE_CHECKING:
    from rich.console import Console

MARKDOWN, TRACE = "breakdown.md", "trace.json"


class Profiled(msgspec.Struct, frozen=True):
    """One cell, in numbers and in words.

    `latency_s` is that of the measured processes, `profiling` the cost of profiling; `lacking` is
    the reason if there is no breakdown.
    """

    key: str
    runtime: str
    status: str
    labels: tuple[str, ...]
    latency_s: float | None
    breakdown: Breakdown | None
    roofline: Roofline | None
    bottleneck: tuple[str, ...]
    profiling: tuple[str, ...]
    lacking: str = ""
    input_shapes: InputShapes = {}
    made_up: bool = False  # those inputs are made up, as nobody gave samples
    uncounted: dict[str, int] = {}  # operators without a formula: MACs are those of the others


class ProfileDocument(msgspec.Struct, frozen=True):
    """All cells of a profiled run, the warnings, and the exit code."""

    folder: str
    cells: tuple[Profiled, ...]
    warnings: tuple[str, ...]
    exit_code: int


def profile_document(folder: Path, run: Run, judgement: Judgement) -> ProfileDocument:
    """Return all results, for programs."""
    cells = tuple(_profiled(record) for record in _records(run))
    warnings = tuple(caution_sentence(one) for one in judgement.warnings)
    return ProfileDocument(str(folder), cells, warnings, judgement.exit_code)


def print_profile(
    console: Console, run: Run, judgement: Judgement, depth: int | None = None
) -> None:
    """Print a tree and the bottleneck for each cell that has a breakdown, then the warnings."""
    widen(console)
    console.print(as_text(console, title(run), "bold"))
    for record in _records(run):
        if record.breakdown is not None:
            console.print()
            console.print(as_text(console, _heading(record), "bold"))
            latency_s = metrics.typical_latency(record)
            tree = Tree(record.breakdown, record.roofline, depth, latency_s, record.uncounted)
            console.print(tree)
    print_warnings(console, [caution_sentence(one) for one in judgement.warnings])


def write_profile(folder: Path, run: Run) -> None:
    """Write `breakdown.md` and `trace.json`, of all cells that have a breakdown, into `folder`."""
    parts = [f"# {escape(title(run))}\n"]
    breakdowns: dict[str, Breakdown] = {}
    for record in _records(run):
        if record.breakdown is None:
            said = reason_text(trouble(record) or without_breakdown(record))
            parts.append(f"## {escape(_heading(record))}\n\n{escape(plain(said))}\n")
            continue
        latency_s = metrics.typical_latency(record)
        text = render(
            record.breakdown, record.roofline, latency_s=latency_s, uncounted=record.uncounted
        )
        parts.append(f"## {escape(_heading(record))}\n\n{text}")
        breakdowns[record.cell.runtime] = record.breakdown
    (folder / MARKDOWN).write_text("\n".join(parts), encoding="utf-8")
    (folder / TRACE).write_text(trace(breakdowns), encoding="utf-8")


def _profiled(record: Record) -> Profiled:
    found, latency_s = record.breakdown, metrics.typical_latency(record)
    return Profiled(
        key=record.cell.key,
        runtime=record.cell.runtime,
        status=record.status,
        labels=record.labels,
        latency_s=latency_s,
        breakdown=found,
        roofline=record.roofline,
        bottleneck=bottleneck_sentences(
            bottleneck(found, record.roofline, latency_s) if found else None
        ),
        profiling=profiling_sentences(profiling_cost(found, latency_s)) if found else (),
        input_shapes=record.input_shapes,
        made_up=record.made_up,
        uncounted=record.uncounted,
        lacking="" if found else reason_text(trouble(record) or without_breakdown(record)),
    )


def _records(run: Run) -> Iterator[Record]:
    return (run.records[cell.id] for cell in run.header.cells)


def _heading(record: Record) -> str:
    threads = f"{record.cell.threads} thread{'s' * (record.cell.threads != 1)}"
    inputs = plain(shapes_text(record.input_shapes)) + " (made up)" * record.made_up
    return ", ".join(filter(None, [record.cell.key, threads, inputs, *record.labels]))
