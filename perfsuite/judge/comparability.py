"""Whether machines and runs may be compared, and how a measurement changed between runs."""

from __future__ import annotations

from typing import NamedTuple

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import told_apart
from perfsuite.domain.environment import Environment
from perfsuite.domain.judgement import VersionChange
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Difference, Interval, Reason, VerdictStatus
from perfsuite.judge import metrics
from perfsuite.judge.references import ok_cells, reference_cell


def differences(now: Environment, before: Environment) -> tuple[Difference, ...]:
    """Return the fields that must match and do not; without any, the two are comparable."""
    return tuple(
        Difference(name, ours, theirs)
        for name in now.must_match.__struct_fields__
        if (ours := getattr(now.must_match, name)) != (theirs := getattr(before.must_match, name))
    )


def version_changes(now: Environment, before: Environment) -> tuple[VersionChange, ...]:
    """Return the versions that differ, which are reported and do not prevent a comparison."""
    return tuple(
        VersionChange(name, before.subject.get(name), now.subject.get(name))
        for name in sorted({*now.subject, *before.subject})
        if now.subject.get(name) != before.subject.get(name)
    )


_TOO_FEW = Reason("too_few_in_a_run")


class MeasuredChange(NamedTuple):
    """The `ratio` now / before or, if there is none, the `reason`.

    `yardstick` is the key of the cell whose times both were divided by, if any.
    """

    ratio: Interval | None
    reason: Reason | None = None
    yardstick: str = ""

    @property
    def status(self) -> VerdictStatus:
        """Return a verdict's status without a ratio: `inconclusive` if processes were too few."""
        return "inconclusive" if self.reason == _TOO_FEW else "incomparable"


def change(
    cell: Cell, run: Run, baseline: Run, metric: str, statistic: Statistic = "median"
) -> MeasuredChange:
    """Return how `metric` of `cell` changed; both runs must have an ok record with it.

    With `compare = "ratio"` in the run's suite, times are first divided by those of a reference
    cell of the same run, so that runs of two machines can be compared.
    """
    now, before = run.records[cell.id], baseline.records[cell.id]
    if metrics.is_machine_bound(now, metric):
        if run.header.suite.compare == "ratio":
            return _relative_change(cell, run, baseline, metric, statistic)
        if other := differences(run.header.environment, baseline.header.environment):
            return MeasuredChange(None, Reason("other_machine", differences=other))
        if now.device and before.device and now.device != before.device:
            names = told_apart(now.device, before.device)
            return MeasuredChange(None, Reason("other_device", names=names))
    if metrics.same_samples(now, before, metric):
        return MeasuredChange(Interval(1.0, 1.0, 1.0))
    ratio = metrics.ratio_between_runs(now, before, metric, statistic)
    return MeasuredChange(ratio, None if ratio else _TOO_FEW)


def _relative_change(
    cell: Cell, run: Run, baseline: Run, metric: str, statistic: Statistic
) -> MeasuredChange:
    in_both = [
        other
        for other in ok_cells(run)
        if other in ok_cells(baseline)
        and metrics.has(run.records[other.id], metric)
        and metrics.has(baseline.records[other.id], metric)
    ]
    yardstick = reference_cell(cell, in_both)
    if yardstick is None:
        return MeasuredChange(None, Reason("no_yardstick"))
    now = (run.records[cell.id], run.records[yardstick.id])
    before = (baseline.records[cell.id], baseline.records[yardstick.id])
    same = all(
        metrics.same_samples(one, other, metric) for one, other in zip(now, before, strict=True)
    )
    if cell == yardstick or same:
        return MeasuredChange(Interval(1.0, 1.0, 1.0), yardstick=yardstick.key)
    ratio = metrics.ratio_of_ratios(now, before, metric, statistic)
    return MeasuredChange(ratio, None if ratio else _TOO_FEW, yardstick.key)
