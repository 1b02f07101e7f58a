"""Whether machines and runs may be compared, and how a measurement changed between runs."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import told_apart
from perfsuite.domain.environment import Environment
from perfsuite.domain.judgement import VersionChange
from perfsuite.domain.record import Record, Run
from perfsuite.domain.shapes import shapes_text
from perfsuite.domain.suite import Statistic
from perfsuite.domain.verdict import Difference, Interval, Reason, Verdict, VerdictStatus
from perfsuite.judge import metrics
from perfsuite.judge.noise import Noise, allowed_for, between_runs
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

    `yardstick` is the key of the cell whose times both were divided by, if any. `beside` tells that
    both were measured in the same rounds; else the interval holds the `noise` between runs, and
    the `sure` one, which is wider, more of it. `tried_beside` tells that it was to be measured
    beside, and could not.
    """

    ratio: Interval | None
    reason: Reason | None = None
    yardstick: str = ""
    beside: bool = False
    noise: Noise = Noise()
    sure: Interval | None = None
    tried_beside: bool = False

    @property
    def status(self) -> VerdictStatus:
        """Return a verdict's status without a ratio: `inconclusive` if processes were too few."""
        return "inconclusive" if self.reason == _TOO_FEW else "incomparable"

    def tell(self, verdict: Verdict) -> Verdict:
        """Return the verdict on this change, with how that was measured and what is not known."""
        return msgspec.structs.replace(
            verdict,
            yardstick=self.yardstick,
            beside=self.beside,
            noise=self.noise.source,
            between=self.noise.deviation,
            noise_runs=self.noise.runs,
            tried_beside=self.tried_beside,
        )


def change(
    cell: Cell, run: Run, baseline: Run, metric: str, statistic: Statistic = "median"
) -> MeasuredChange:
    """Return how `metric` of `cell` changed; both runs must have an ok record with it.

    What was measured beside the baseline's own artifact is compared with that, whatever the machine
    was. Times of inputs of other shapes are not compared. With `compare = "ratio"` in the run's
    suite, other times are first divided by those of a reference cell of the same run, so that runs
    of two machines can be compared.
    """
    now, before = run.records[cell.id], baseline.records[cell.id]
    if metrics.is_measured(now, metric) and _shapes_differ(now, before):
        texts = (shapes_text(now.input_shapes), shapes_text(before.input_shapes))
        return MeasuredChange(None, Reason("other_shapes", names=texts))
    same = metrics.same_samples(now, before, metric)
    if not same and (ratio := _beside(now, before, run.beside.get(cell.id), metric, statistic)):
        return MeasuredChange(ratio, beside=True)
    if metrics.is_machine_bound(now, metric):
        if run.header.suite.compare == "ratio":
            return _relative_change(cell, run, baseline, metric, statistic)
        if other := differences(run.header.environment, baseline.header.environment):
            return MeasuredChange(None, Reason("other_machine", differences=other))
        if now.device and before.device and now.device != before.device:
            names = told_apart(now.device, before.device)
            return MeasuredChange(None, Reason("other_device", names=names))
    if same:
        return MeasuredChange(Interval(1.0, 1.0, 1.0))
    ratio = metrics.ratio_between_runs(now, before, metric, statistic)
    return _stored(ratio, (cell,), run, baseline, metric, statistic)


def _shapes_differ(now: Record, before: Record) -> bool:
    """Return whether both tell the shapes of their inputs, and these are others."""
    known = bool(now.input_shapes and before.input_shapes)
    return known and now.input_shapes != before.input_shapes


def _beside(
    now: Record, before: Record, beside: Record | None, metric: str, statistic: Statistic
) -> Interval | None:
    """Return now / beside; None unless the baseline's artifact was measured in the same rounds."""
    if beside is None or beside.status != "ok" or not metrics.is_measured(now, metric):
        return None
    if beside.artifact != before.artifact or not metrics.has(beside, metric):
        return None
    return metrics.ratio(now, beside, metric, statistic)


def _stored(
    ratio: Interval | None,
    cells: tuple[Cell, ...],  # the cell, and its yardstick
    run: Run,
    baseline: Run,
    metric: str,
    statistic: Statistic,
) -> MeasuredChange:
    """Return the change between two stored runs, with the noise between these in its interval."""
    yardstick = cells[1].key if len(cells) > 1 else ""
    if ratio is None:
        records = [one.records[cell.id] for cell in cells for one in (run, baseline)]
        zeros = metrics.has_zeros(metric, *records)
        reason = Reason("zeros", names=(metric,)) if zeros else _TOO_FEW
        return MeasuredChange(None, reason, yardstick)
    if not metrics.is_measured(run.records[cells[0].id], metric):
        return MeasuredChange(ratio, yardstick=yardstick)
    same_machine = not differences(run.header.environment, baseline.header.environment)
    noise = between_runs(cells, run, baseline, metric, statistic, same_machine=same_machine)
    wide, sure = allowed_for(ratio, noise)
    tried = _was_tried(cells[0], run, baseline)
    return MeasuredChange(wide, yardstick=yardstick, noise=noise, sure=sure, tried_beside=tried)


def _was_tried(cell: Cell, run: Run, baseline: Run) -> bool:
    """Return whether the cell was to be measured beside its artifact in this very baseline."""
    beside = run.beside.get(cell.id)
    return beside is not None and beside.artifact == baseline.records[cell.id].artifact


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
    return _stored(ratio, (cell, yardstick), run, baseline, metric, statistic)
