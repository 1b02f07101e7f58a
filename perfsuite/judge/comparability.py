"""What may be compared: machines, versions, runs; and how a measurement changed between runs."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment
from perfsuite.domain.judgement import VersionChange
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.judge.references import ok_cells, reference_cell


def differences(now: Environment, before: Environment) -> list[str]:
    """Return in words each field that must match and does not; none means comparable."""
    return [
        _difference(name, ours, theirs)
        for name in now.must_match.__struct_fields__
        if (ours := getattr(now.must_match, name)) != (theirs := getattr(before.must_match, name))
    ]


def version_changes(now: Environment, before: Environment) -> tuple[VersionChange, ...]:
    """Return each version that differs: told, never refused."""
    return tuple(
        VersionChange(name, before.subject.get(name), now.subject.get(name))
        for name in sorted({*now.subject, *before.subject})
        if now.subject.get(name) != before.subject.get(name)
    )


def _difference(name: str, ours: object, theirs: object) -> str:
    label = name.replace("_", " ")
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        only_one = sorted(set(ours) ^ set(theirs))
        more = f" and {len(only_one) - 3} more" if len(only_one) > 3 else ""
        return f"{label} (only one has {', '.join(only_one[:3])}{more})"
    if isinstance(ours, dict) and isinstance(theirs, dict):
        unequal = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
        return f"{label} (of {', '.join(unequal)})"
    return f"{label} ({_plain(ours)} here, {_plain(theirs)} in the baseline)"


def _plain(value: object) -> str:
    return repr(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


FEW = "too few processes in one of the runs: measure at least 2"


class MeasuredChange(NamedTuple):
    """`ratio` is now / before; where there is none, `why` says why, and `comparable` the kind.

    `yardstick` is the key of the cell that both were divided by, if any.
    """

    ratio: Interval | None
    why: str = ""
    comparable: bool = True
    yardstick: str = ""


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
            why = (
                f"the machines differ in {', '.join(other)}: absolute times are not comparable; "
                f'set compare = "ratio" or make the baseline here'
            )
            return MeasuredChange(None, why, comparable=False)
    if metrics.same_samples(now, before, metric):
        return MeasuredChange(Interval(1.0, 1.0, 1.0))
    ratio = metrics.ratio_between_runs(now, before, metric, statistic)
    return MeasuredChange(ratio, "" if ratio else FEW)


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
        return MeasuredChange(None, "no cell of both runs to divide by", comparable=False)
    now = (run.records[cell.id], run.records[yardstick.id])
    before = (baseline.records[cell.id], baseline.records[yardstick.id])
    same = all(
        metrics.same_samples(one, other, metric) for one, other in zip(now, before, strict=True)
    )
    if cell == yardstick or same:
        return MeasuredChange(Interval(1.0, 1.0, 1.0), yardstick=yardstick.key)
    ratio = metrics.ratio_of_ratios(now, before, metric, statistic)
    return MeasuredChange(ratio, "" if ratio else FEW, yardstick=yardstick.key)
