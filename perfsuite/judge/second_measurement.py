"""Which cells are measured a second time before a red verdict is believed."""

from __future__ import annotations

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Run
from perfsuite.judge import metrics
from perfsuite.judge.budgets import budget_verdicts
from perfsuite.judge.decisions import RED
from perfsuite.judge.regression import regression_verdicts


def red_cells(run: Run, baseline: Run) -> list[Cell]:
    """Return the cells with a red verdict on a change that rounds measure, in the run's order.

    With them come the cells that their times are divided by. Only the first measurement counts, so
    that it is the same cells when a run goes on that was cut short. Where the baseline's artifact
    is not beside the cell, the second measurement too is compared with the stored run.
    """
    first = msgspec.structs.replace(run, again=None)
    records = {cell.key: run.records[cell.id] for cell in run.header.cells}
    red = {
        key
        for one in (*regression_verdicts(first, baseline), *budget_verdicts(first, baseline))
        if one.status in RED and one.against == "baseline"
        if metrics.is_measured(records[one.cell], one.metric)
        for key in (one.cell, one.yardstick)
    }
    return [cell for cell in run.header.cells if cell.key in red]
