"""What each library is worth, for all formats."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.record import Run
from perfsuite.judge import metrics
from perfsuite.judge.ablation import Worth, worths
from perfsuite.report import words
from perfsuite.report.sentences.ablation import (
    better_sentences,
    note,
    ratio_text,
    seen_text,
    worth_sentence,
)
from perfsuite.report.tables.cell_rows import plain

TITLE = "What each library is worth"
COLUMNS = ("cell", "library", "turned off", "latency", "times as long", "what ran", "")
LEGEND = (
    "Times as long: a call without, divided by one with nothing turned off, measured together in "
    "fresh processes; each interval holds in 95 of 100."
)


def lines(run: Run) -> Iterator[tuple[str, ...]]:
    """Yield a line for each cell as it is, followed by one for each thing that is turned off.

    Of an engine that cannot run the workload the first line says all.
    """
    found = worths(run)
    statuses = {cell.key: run.records[cell.id].status for cell in run.header.cells}
    for whole in dict.fromkeys(one.whole for one in found):
        yield _whole(run, whole)
        status = statuses.get(whole, "")
        yield from (
            _line(one)
            for one in found
            if one.whole == whole
            and not (status == one.status and status in ("unsupported", "unavailable"))
        )


def sentences(run: Run) -> Iterator[str]:
    """Yield which library is worth most, what is faster without, and how it was measured."""
    found = worths(run)
    if found:
        yield plain(worth_sentence(found))
        yield from map(plain, better_sentences(found))
        yield LEGEND


def _whole(run: Run, key: str) -> tuple[str, ...]:
    cell = next((one for one in run.header.cells if one.key == key), None)
    record = None if cell is None else run.records[cell.id]
    latency, problem = "", ""
    if record is not None and record.status != "ok":
        latency = record.status
        problem = record.error.message if record.error else ""
    elif record is not None:
        latency = _seconds(metrics.typical_latency(record))
    name = key.partition("/")[2]  # a run has one workload
    return (plain(name), "", "nothing", latency, "", "", plain(problem))


def _line(one: Worth) -> tuple[str, ...]:
    return (
        "",
        plain(one.library),
        plain(one.title),
        _seconds(one.without_s) if one.status == "ok" else one.status,
        "" if one.ratio is None else ratio_text(one.ratio),
        plain(seen_text(one)),
        plain(note(one)),
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else words.seconds(value)
