"""What further rounds may decide in a run that is looked at after each of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec

from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import LATENCY, METRICS, known_metrics
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Interval, Verdict
from perfsuite.judge import metrics
from perfsuite.judge.ablation import is_known, worths
from perfsuite.judge.budgets import budget_verdicts
from perfsuite.judge.decisions import change_decided, pace_decided
from perfsuite.judge.noise import Noise, allowed_for
from perfsuite.judge.references import ok_cells, parent_cell, reference_cell
from perfsuite.judge.regression import for_the_worse, regression_verdicts
from perfsuite.judge.sequential import rounds_needed

NEVER_SLOWER = "never slower"


class OpenQuestion(msgspec.Struct, frozen=True):
    """A verdict on a cell that is not decided.

    `about` names the budget, or is `never slower`, or of which metric it may be a regression.
    It may be after `rounds` rounds, if these go on to differ as they did so far; None if not within
    the plan of the run.
    """

    cell: str  # the key
    about: str
    rounds: int | None


def open_questions(run: Run, baseline: Run | None = None) -> list[OpenQuestion]:
    """Return what is not decided and may be by more rounds; nothing in a run of a fixed number.

    It follows from the records and the plan alone. Accuracies do not depend on rounds. Of what is
    held against a baseline, only what is measured beside it is waited for: between two stored runs
    no number of rounds shows what differs from run to run. In the rounds of a second measurement,
    `run.again`, nothing is asked but changes, and of stored runs those beyond that noise.
    """
    looks = run.header.suite.looks
    if looks is None:
        return []
    run = msgspec.structs.replace(run, again=None)
    verdicts = budget_verdicts(run, baseline)
    again = _is_again(run)
    changes = [] if baseline is None else list(_open_changes(run, baseline, looks, again=again))
    if again:
        beside = [one for one in verdicts if one.beside]
        return [*_open_budgets(beside, run, looks), *changes]
    if run.header.suite.ablation:
        return [*_open_worths(run, looks)]
    own = [*_open_budgets(verdicts, run, looks), *_open_paces(run, looks)]
    return [*own, *_wide_speedups(run, looks), *changes]


def _is_again(run: Run) -> bool:
    """Tell whether these are the rounds of a second measurement, which follow all of the first."""
    last = (max(record.latencies_s, default=0) for record in run.records.values())
    return max(last, default=0) >= run.header.suite.processes


def _open_budgets(verdicts: Iterable[Verdict], run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    records = {cell.key: run.records[cell.id] for cell in run.header.cells}
    for verdict in verdicts:
        around, limit = verdict.estimate, verdict.limit
        if verdict.status != "inconclusive" or around is None or limit is None:
            continue
        record = records[verdict.cell]
        if metrics.is_accuracy(record, verdict.metric) or verdict.uncounted:
            continue
        if verdict.against == "baseline" and not verdict.beside:
            continue
        yield OpenQuestion(verdict.cell, verdict.budget, _forecast(record, around, limit, looks))


def _open_changes(run: Run, baseline: Run, looks: Looks, *, again: bool) -> Iterator[OpenQuestion]:
    """Yield each change since the baseline that may be none and may be one worth finding."""
    records = {cell.key: run.records[cell.id] for cell in run.header.cells}
    known = known_metrics(run.header.metrics)
    for verdict in regression_verdicts(run, baseline):
        metric = known.get(verdict.metric)  # none is that of an accuracy, which rounds do not tell
        if metric is None or verdict.estimate is None or verdict.limit is None:
            continue
        worse = for_the_worse(verdict.estimate, metric)
        if verdict.beside:
            is_open = change_decided(worse, verdict.limit) is None
        else:
            is_open = again and verdict.status == "inconclusive" and _beyond_noise(worse, verdict)
        if not is_open:
            continue
        # One end must leave nothing and the floor between them: above the one, or below the other.
        record, ratio = records[verdict.cell], Interval(*(1.0 + one for one in _parts(worse)))
        ends = []
        if worse.value > 0.0:
            ends.append(_forecast(record, ratio, 1.0, looks))
        if worse.value < verdict.limit:
            ends.append(_forecast(record, ratio, 1.0 + verdict.limit, looks))
        yield OpenQuestion(verdict.cell, f"regression of {verdict.metric}", _soonest(ends))


def _beyond_noise(worse: Interval, verdict: Verdict) -> bool:
    """Tell whether a change between stored runs would be red, were it known exactly."""
    ratio = 1.0 + worse.value
    noise = Noise(verdict.noise, verdict.between)
    _, sure = allowed_for(Interval(ratio, ratio, ratio), noise)
    return verdict.noise != "" and sure.low > 1.0


def _parts(one: Interval) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _soonest(rounds: Iterable[int | None]) -> int | None:
    return min((one for one in rounds if one is not None), default=None)


def _open_paces(run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    """Yield each compressed cell of which it is not known whether it is faster than its parent.

    A simulated one is not judged by its time.
    """
    floor = METRICS[LATENCY].floor or 0.0
    for cell in ok_cells(run):
        parent, record = parent_cell(run, cell), run.records[cell.id]
        if parent is None or "simulated" in record.labels:
            continue
        speedup = metrics.ratio(run.records[parent.id], record, LATENCY, "median")
        if speedup is None or pace_decided(speedup, floor):
            continue
        # One end must leave the values between as fast and faster by the floor.
        ends = []
        if speedup.value > 1.0:
            ends.append(_forecast(record, speedup, 1.0, looks))
        if speedup.value < 1.0 + floor:
            ends.append(_forecast(record, speedup, 1.0 + floor, looks))
        yield OpenQuestion(cell.key, NEVER_SLOWER, _soonest(ends))


def _wide_speedups(run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    """Yield each cell whose speed-up in the tables is not known as well as the suite wants it."""
    within = run.header.suite.speedups_within
    if within is None:
        return
    cells = ok_cells(run)
    for cell in cells:
        reference, record = reference_cell(cell, cells), run.records[cell.id]
        if reference is None or reference == cell:
            continue
        ratio = metrics.ratio(record, run.records[reference.id], LATENCY, "median")
        if ratio is None:
            continue
        reach = math.log(ratio.high / ratio.low) / 2.0
        if reach > math.log1p(within):
            rounds = min(len(record.latencies_s), looks.most)
            needed = rounds_needed(reach, rounds, math.log1p(within), looks)
            yield OpenQuestion(cell.key, f"speed-up within {100.0 * within:g} %", needed)


def _open_worths(run: Run, looks: Looks) -> Iterator[OpenQuestion]:
    """Yield each cell of which it is not known well enough what its switch costs."""
    for one in worths(run):
        if one.ratio is None or is_known(one.ratio):
            continue
        record = next(r for r in run.records.values() if r.cell.key == one.cell)
        yield OpenQuestion(one.cell, "worth", _forecast(record, one.ratio, 1.0, looks))


def _forecast(record: Record, around: Interval, limit: float, looks: Looks) -> int | None:
    """Return after how many rounds the interval may no longer hold the limit.

    Ratios and times have their intervals on a logarithmic scale.
    """
    low, value, high = around.low, around.value, around.high
    if low > 0.0 and limit > 0.0:
        low, value, high, limit = (math.log(one) for one in (low, value, high, limit))
    reach = value - low if limit < value else high - value
    rounds = min(len(record.latencies_s), looks.most)
    return rounds_needed(reach, rounds, abs(value - limit), looks)
