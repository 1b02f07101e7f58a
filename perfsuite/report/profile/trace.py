"""Breakdowns as a trace that Perfetto and Chrome open.

The format is Chrome's "Trace Event Format": complete events (`X`) with `ts` and `dur` in
microseconds, which nest by time, and metadata (`M`) that names tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow

Event = dict[str, Any]
_THREAD = 1
_US = 1e6  # in a second


class Slice(NamedTuple):
    """One operator on the track."""

    stage: str
    path: str  # of its module
    start_s: float
    row: BreakdownRow


def trace(breakdowns: Mapping[str, Breakdown]) -> str:
    """Return the JSON text: for each engine a track with its name, and one average call on it.

    The call contains stages, which contain their operators. A stage is a slice for each sequence of
    adjacent operators, from the start of the first to the end of the last, with the gaps between
    them, which are engine overhead. `args.time_s` of a slice is exact and without gaps: it adds up
    to a stage's time and, with the call's `args.engine_overhead_s`, to the total. If an engine
    reports no starts, operators follow each other, stage by stage.
    """
    events: list[Event] = []
    for process, (name, breakdown) in enumerate(breakdowns.items(), start=1):
        events += _named(process, name)
        events += _track(process, breakdown)
    document = {"displayTimeUnit": "ms", "traceEvents": events}
    return msgspec.json.encode(document).decode()


def _named(process: int, name: str) -> Iterator[Event]:
    for what, label in (("process_name", name), ("thread_name", "one call, on average")):
        yield {"ph": "M", "name": what, "pid": process, "tid": _THREAD, "args": {"name": label}}


def _track(process: int, breakdown: Breakdown) -> Iterator[Event]:
    slices = _slices(breakdown)
    end_s = max([breakdown.total_s, *(one.start_s + one.row.time_s for one in slices)])
    overhead_s = sum(row.time_s for row in breakdown.rows if row.name == OVERHEAD)
    call = {"time_s": breakdown.total_s, "calls": breakdown.calls, "engine_overhead_s": overhead_s}
    yield _event(process, "call", "call", 0.0, end_s, call)
    for stage, run in groupby(slices, key=lambda one: one.stage):
        ones = list(run)
        start_s = ones[0].start_s
        end_s = max(one.start_s + one.row.time_s for one in ones)
        exact = {"time_s": sum(one.row.time_s for one in ones)}
        yield _event(process, stage, "stage", start_s, end_s, exact)
        for one in ones:
            yield _operator(process, one)


def _operator(process: int, one: Slice) -> Event:
    row = one.row
    known = {"module": one.path, "macs": row.macs, "bytes": row.bytes}
    arguments = {"time_s": row.time_s} | {key: value for key, value in known.items() if value}
    end_s = one.start_s + row.time_s
    return _event(process, row.name, "operator", one.start_s, end_s, arguments)


def _event(
    process: int, name: str, category: str, start_s: float, end_s: float, arguments: Event
) -> Event:
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": process,
        "tid": _THREAD,
        "ts": start_s * _US,
        "dur": end_s * _US - start_s * _US,
        "args": arguments,
    }


def _slices(breakdown: Breakdown) -> list[Slice]:
    """Return the operators by their start, or one after the other if starts are not known."""
    found = [
        (row.name, path, operator)
        for row in breakdown.rows
        for path, operator in _operators(row, "")
    ]
    if all(row.start_s is not None for _, _, row in found):
        timed = [Slice(stage, path, row.start_s or 0.0, row) for stage, path, row in found]
        return sorted(timed, key=lambda one: one.start_s)
    slices, now_s = [], 0.0
    for stage, path, row in found:
        slices.append(Slice(stage, path, now_s, row))
        now_s += row.time_s
    return slices


def _operators(row: BreakdownRow, path: str) -> Iterator[tuple[str, BreakdownRow]]:
    for child in row.children:
        if child.level == "operator":
            yield path, child
        else:
            yield from _operators(child, child.name)
