"""How a cell's measurement changed between two runs: absolutely, or relative to a yardstick."""

from __future__ import annotations

from typing import NamedTuple

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.judge.machines import differences
from perfsuite.judge.reference import ok_cells, reference_cell

FEW = "too few processes in one of the runs: measure at least 2"


class Change(NamedTuple):
    """`ratio` is now / before; where there is none, `why` says why, and `comparable` the kind.

    `yardstick` is the key of the cell that both were divided by, if any.
    """

    ratio: Interval | None
    why: str = ""
    comparable: bool = True
    yardstick: str = ""


def change(
    cell: Cell, run: Run, baseline: Run, metric: str, statistic: Statistic = "median"
) -> Change:
    """Return how `metric` of `cell` changed; both runs must have an ok record with it.

    With `compare = "ratio"` in the run's suite, times are first divided by those of a reference
    cell of the same run, so that runs of two machines can be compared.
    """
    now, before = run.records[cell.id], baseline.records[cell.id]
    if metrics.is_time(metric):
        if run.header.suite.compare == "ratio":
            return _relative_change(cell, run, baseline, metric, statistic)
        if other := differences(run.header.environment, baseline.header.environment):
            why = (
                f"the machines differ in {', '.join(other)}: absolute times are not comparable; "
                f'set compare = "ratio" or make the baseline here'
            )
            return Change(None, why, comparable=False)
    if metrics.same_samples(now, before, metric):
        return Change(Interval(1.0, 1.0, 1.0))
    ratio = metrics.ratio_between_runs(now, before, metric, statistic)
    return Change(ratio, "" if ratio else FEW)


def _relative_change(
    cell: Cell, run: Run, baseline: Run, metric: str, statistic: Statistic
) -> Change:
    in_both = [
        other
        for other in ok_cells(run)
        if other in ok_cells(baseline)
        and metrics.has(run.records[other.id], metric)
        and metrics.has(baseline.records[other.id], metric)
    ]
    yardstick = reference_cell(cell, in_both)
    if yardstick is None:
        return Change(None, "no cell of both runs to divide by", comparable=False)
    now = (run.records[cell.id], run.records[yardstick.id])
    before = (baseline.records[cell.id], baseline.records[yardstick.id])
    same = all(
        metrics.same_samples(one, other, metric) for one, other in zip(now, before, strict=True)
    )
    if cell == yardstick or same:
        return Change(Interval(1.0, 1.0, 1.0), yardstick=yardstick.key)
    ratio = metrics.ratio_of_ratios(now, before, metric, statistic)
    return Change(ratio, "" if ratio else FEW, yardstick=yardstick.key)
