"""What judging says of one cell and one limit, as data; `report.sentences` puts it into words."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from perfsuite.domain.suite import Limit, Statistic

VerdictStatus = Literal[
    "pass", "over_budget", "regressed", "inconclusive", "incomparable", "missing", "failed"
]

# What a cell is held to: to end well, to be no worse than in the baseline, to have run on what is
# required, or a budget's limit.
Check = Limit | Literal["status", "regression", "require"]

# From where it is known what differs between two runs of the same thing, beyond what the processes
# of one run show; empty where nothing is to be known, as of what was measured beside its baseline.
NoiseSource = Literal["", "earlier runs", "certificate", "unknown"]

ReasonKind = Literal[
    # How a cell ended.
    "not_run",
    "cut_short",
    "not_ok",  # names: its status; text: the error
    # What a record has not.
    "no_metric",  # names: the metric
    "no_breakdown",  # text: why, if the engine says so
    "no_evidence",
    "no_stage",  # names: the stage that was asked for, then those there are
    "lost_metric",  # names: the metric, which the baseline has
    "gone",  # the cell is in the baseline alone
    "other_threads",  # names: their number here, and in the baseline
    # What a budget names that is not there, or cannot be.
    "no_baseline",
    "no_reference",
    "not_one_reference",  # text: the pattern; names: the cells' keys
    "no_cell",  # text: the pattern
    "none_to_run",
    "not_an_accuracy",  # names: the metric, as in the next
    "an_accuracy",
    # Why two numbers cannot be compared, or one not be told.
    "simulated",
    "no_fewer_macs",
    "uncounted",  # names: the operators, each with its number
    "other_samples",  # text: in what the samples differ
    "other_shapes",  # names: those of the inputs timed here, and in the baseline
    "other_machine",  # differences
    "other_device",  # names: that of this run, and that of the baseline
    "no_yardstick",
    "not_a_number",  # names: the metric, as in the next
    "zeros",
    "too_few_processes",
    "too_few_in_a_run",
    # What the evidence shows of what is required.
    "shown",  # text
]


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True):
    """A field of the environment that must match and does not."""

    field: str
    here: Any
    baseline: Any


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a cell cannot be judged, or a number is not there.

    `whose` is the key of the reference that is meant, or `baseline` for the cell in the baseline
    run; it is empty where the cell itself is meant. What `names` and `text` hold, the kind says.
    """

    kind: ReasonKind
    whose: str = ""
    names: tuple[str, ...] = ()
    text: str = ""
    differences: tuple[Difference, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The verdict on one cell by one limit. Only `pass` is green.

    `budget` is the budget's name, or `regression` or `status` for the checks that need none, or
    says what is required; a cell that failed has the status `failed`, as has one that is not shown
    to have run on what is required. What a budget would have said of it is `missing`.
    `estimate` is in the limit's own terms, which `check` tells: a speed-up, points lost, a relative
    increase or an absolute value. Where there is none, `reason` says why. `against` is the key of
    the reference cell, or `baseline`.

    A change was measured `beside` its baseline, in turns with it, or between two stored runs; then
    the estimate includes the `noise` between runs: the standard deviation `between` of a logarithm,
    as far as it is known. What was red at first and is measured `again` has the second estimate.
    """

    status: VerdictStatus
    budget: str
    cell: str  # the cell's key
    metric: str
    check: Check
    against: str = ""
    limit: float | None = None
    estimate: Interval | None = None
    unit: str = ""  # the metric's; empty for an accuracy
    statistic: Statistic = "median"  # of a process's calls
    stage: str = ""
    yardstick: str = ""  # the key of the cell that both runs' times were divided by, if any
    reason: Reason | None = None
    uncounted: tuple[str, ...] = ()  # operators that are not in the estimate, as `3 GridSample`
    beside: bool = False
    again: bool = False
    noise: NoiseSource = ""
    between: float | None = None
    noise_runs: int = 0  # how many earlier runs it is known from
    tried_beside: bool = False  # the run was to measure it beside the baseline, and could not
