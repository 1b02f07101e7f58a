"""What differs between two stored runs of the same thing, and no process of one of them shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.record import Header, Run
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Interval, NoiseSource
from perfsuite.judge import metrics
from perfsuite.judge.intervals import widened

# How many standard deviations an interval of 95 % reaches, and one that a suite of 20 unchanged
# cells leaves to one side in 1 % of cases (`benchmarks/simulation.py`).
LIKELY = 1.96
SURE = 3.29


class Noise(NamedTuple):
    """The noise between two runs and how it is known.

    `deviation` is the standard deviation of a log value of the same thing in one run, so that two
    runs differ by sqrt(2) of it.
    """

    source: NoiseSource = ""
    deviation: float | None = None
    runs: int = 0


def allowed_for(ratio: Interval, noise: Noise) -> tuple[Interval, Interval]:
    """Return the ratio of two runs with two intervals that hold the noise between these.

    The first is the one of 95 %, the second the one that must exclude no change to be believed.
    """
    shift = math.sqrt(2.0) * (noise.deviation or 0.0)
    return widened(ratio, LIKELY * shift), widened(ratio, SURE * shift)


def between_runs(
    cells: Sequence[Cell],
    run: Run,
    baseline: Run,
    metric: str,
    statistic: Statistic,
    *,
    same_machine: bool,
) -> Noise:
    """Return the noise of a change of the first of `cells`, divided by the second if there is one.

    It is known of medians of latencies. Where it is not, the spread of single processes takes its
    place: what differs between runs does so between processes, mostly. Of a cell and its yardstick
    it adds up, which is more than what remains where the two are measured in turns. It does so
    too where it is larger than what a certificate says, whose minutes show too little of the noise.
    """
    known = None
    if metric == LATENCY and statistic == "median":
        known = _known(cells, run.header, baseline.header, same_machine=same_machine)
        if known is not None and known.source == "earlier runs":
            return known
    now, before = ([one.records[cell.id] for cell in cells] for one in (run, baseline))
    spread = metrics.deviation_of_processes(now, before, metric, statistic)
    if known is not None and spread <= (known.deviation or 0.0):
        return known
    return Noise("unknown", spread)


def _known(
    cells: Sequence[Cell], now: Header, before: Header, *, same_machine: bool
) -> Noise | None:
    """Return the noise in each of two runs, on average; None if that of a cell is not known.

    On the same machine, what either run knows is true of both, and what it learned comes first.
    """
    found: list[Noise | None] = []
    for cell in cells:
        each = [_told(header, cell) for header in (now, before)]
        known = [one for one in each if one is not None]
        learned = [one for one in known if one.source == "earlier runs"]
        found += [*learned, *known, None][:1] if same_machine else each
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    variance = sum((one.deviation or 0.0) ** 2 for one in known) * len(cells) / len(known)
    sources = {one.source for one in known}
    source: NoiseSource = "earlier runs" if sources == {"earlier runs"} else "certificate"
    return Noise(source, math.sqrt(variance), min(one.runs for one in known))


def _told(header: Header, cell: Cell) -> Noise | None:
    """Return what a run knew when it began: of the cell from earlier runs, else by certificate."""
    if learned := header.between_runs.get(cell.id):
        return Noise("earlier runs", learned.deviation, learned.runs)
    certified = header.certificate.between_runs if header.certificate else None
    return None if certified is None else Noise("certificate", certified)
