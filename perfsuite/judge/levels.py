"""What differs between runs of the same artifact, learned from earlier runs on a machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import BetweenRuns, Run
from perfsuite.judge.metrics import log_latencies
from perfsuite.judge.references import ok_cells
from perfsuite.store.levels import Level, Levels

# Degrees of freedom that are needed: three runs of one artifact, or two of each of two.
_LEAST_FREEDOM = 2
# The normal quantile that leaves a tenth below. The noise of few runs is often found too small by
# far, and then unchanged code comes out red; this is found too small in one of ten cases.
_TENTH = -1.2816


def levels_of(run: Run) -> dict[str, dict[str, Level]]:
    """Return how long each cell of a run took, by cell id and artifact key; quick runs tell none.

    What was measured in fewer than two processes has no error and is left out.
    """
    found: dict[str, dict[str, Level]] = {}
    for cell in [] if run.header.quick else ok_cells(run):
        record = run.records[cell.id]
        logs = log_latencies(record)
        if len(logs) < 2 or not record.artifact:
            continue
        error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
        level = Level(run.header.created_at, float(np.mean(logs)), error)
        found[cell.id] = {record.artifact: level}
    return found


def learned(cells: Iterable[Cell], levels: Levels) -> dict[str, BetweenRuns]:
    """Return what runs of each cell differ by, by cell id, where earlier runs are enough."""
    found = {cell.id: between_runs(list(levels.get(cell.id, {}).values())) for cell in cells}
    return {key: one for key, one in found.items() if one is not None}


def between_runs(levels: Sequence[Sequence[Level]]) -> BetweenRuns | None:
    """Return the standard deviation between runs of one artifact that their processes do not show.

    `levels` holds the runs of each artifact. It is the variance of these about the mean of their
    artifact, of which the upper bound of 90 % is taken, less what the errors of the levels explain.
    None for too few runs.
    """
    repeated = [group for group in levels if len(group) > 1]
    freedom = sum(len(group) - 1 for group in repeated)
    if freedom < _LEAST_FREEDOM:
        return None
    squares = sum(float(np.var([one.value for one in group])) * len(group) for group in repeated)
    explained = float(np.mean([one.error**2 for group in repeated for one in group]))
    deviation = math.sqrt(max(0.0, squares / chi_squared_tenth(freedom) - explained))
    return BetweenRuns(deviation, sum(len(group) for group in repeated))


def chi_squared_tenth(freedom: int) -> float:
    """Return what is above a chi-squared variable in a tenth of cases (Wilson, Hilferty 1931)."""
    share = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - share + _TENTH * math.sqrt(share)) ** 3
