"""What was timed: every process and slice of a cell, and with which others it took turns."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from perfsuite.domain.record import Record, Run, Slices


class Process(NamedTuple):
    """One process of a cell: its round, its calls, and the medians of its slices in their order.

    `together` are the keys of the cells whose processes took turns with it, slice by slice.
    """

    round: int
    part: int  # above 0 for a further process in its round
    calls: int
    median_s: float
    fastest_s: float
    slowest_s: float
    slices_s: tuple[float, ...]
    together: tuple[str, ...]


Groups = dict[tuple[int, str], tuple[str, ...]]


def groups_of(run: Run) -> Groups:
    """Return the keys of the cells that took turns, by round and by what names their group."""
    found: dict[tuple[int, str], dict[str, None]] = {}
    for record in run.records.values():
        for number, slices in record.slices.items():
            found.setdefault((number, slices.together), {})[record.cell.key] = None
        for number, parts in record.parts.items():
            for part in parts:
                found.setdefault((number, part.slices.together), {})[record.cell.key] = None
    return {group: tuple(keys) for group, keys in found.items()}


def processes(record: Record, groups: Groups) -> list[Process]:
    """Return the processes of a cell, by round."""
    found = [
        _process(record, number, 0, samples, record.slices.get(number), groups)
        for number, samples in sorted(record.latencies_s.items())
        if samples
    ]
    for number, parts in sorted(record.parts.items()):
        for place, part in enumerate(parts, start=1):
            found.append(_process(record, number, place, part.latencies_s, part.slices, groups))
    return sorted(found, key=lambda one: (one.round, one.part))


def _process(
    record: Record,
    number: int,
    part: int,
    samples: tuple[float, ...],
    slices: Slices | None,
    groups: Groups,
) -> Process:
    others: tuple[str, ...] = ()
    if slices is not None and slices.together:
        known = groups.get((number, slices.together), ())
        others = tuple(key for key in known if key != record.cell.key)
    return Process(
        number,
        part,
        len(samples),
        median(samples),
        min(samples),
        max(samples),
        _medians(samples, slices),
        others,
    )


def _medians(samples: tuple[float, ...], slices: Slices | None) -> tuple[float, ...]:
    """Return the median of each slice; of a process without slices, that of all its calls."""
    counts = slices.counts if slices is not None and slices.counts else (len(samples),)
    found, begin = [], 0
    for count in counts:
        inside = samples[begin : begin + count]
        begin += count
        if inside:
            found.append(median(inside))
    return tuple(found)
