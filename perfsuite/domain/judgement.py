"""Judgements of runs: verdicts, causes and cautions, as data."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.verdict import Interval, Reason, Verdict

Pace = Literal["faster", "not proven faster", "slower"]


class _Kind(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """The base of causes and cautions, whose kind is their class, stored as `kind`."""


# Why a compressed cell is not proven faster than its parent.


class OnlySimulated(_Kind, frozen=True):
    """The cell is simulated, so its time is not that of real kernels."""


class MacsNotFewer(_Kind, frozen=True):
    """The MACs are hardly fewer, or more; `macs_ratio` is the parent's / its own."""

    macs_ratio: float


class ProcessesDiffer(_Kind, frozen=True):
    """The speed-ups of its `processes` pairs of processes differ too much."""

    processes: int
    least: float
    most: float


class RowTooSlow(_Kind, frozen=True):
    """The row of the breakdown that takes the most time beyond what its MACs promise.

    `before_s` is its time in the parent's profiled call, 0 without such a row there, and
    `macs_ratio` the parent's MACs / its own, 1 if they are not known.
    """

    row: str
    before_s: float
    now_s: float
    macs_ratio: float


class LittleComputes(_Kind, frozen=True):
    """Most of its call, `share`, has no MACs that could become fewer; `before` is the parent's."""

    share: float
    before: float


Cause = OnlySimulated | MacsNotFewer | ProcessesDiffer | RowTooSlow | LittleComputes


# Cautions. Those of reading a run, or of an error's message, are plain text.


class Quick(_Kind, frozen=True):
    """The run was made with `--quick`, which measures too little to be believed."""


class OnValidation(_Kind, frozen=True):
    """The run's accuracies are those of validation samples, which are there to choose by."""


class TooManyThreads(_Kind, frozen=True):
    """Cells ask for more threads than could run at once."""

    threads: int
    cores: int


class TimeWasUp(_Kind, frozen=True):
    """Measuring ended when the suite's `minutes` were spent, with verdicts open: so many."""

    minutes: float
    open_verdicts: int


class LatenciesLeftOut(_Kind, frozen=True):
    """The latencies of some rounds are not all positive numbers and were left out."""

    cell: str  # its key, as in all that follows
    rounds: tuple[int, ...]


class NotTogether(_Kind, frozen=True):
    """Cells were measured one after the other: the system lets no processes take turns."""

    cells: tuple[str, ...]


class Labelled(_Kind, frozen=True):
    """Cells have a label that needs a sentence of its own."""

    label: str
    cells: tuple[str, ...]


class LittleInt8(_Kind, frozen=True):
    """Of a quantized cell's MACs only a `share` ran in 8 bits; the rest stayed in float.

    `in_float` has the shares of the rest by operator, as `Record.float_shares` does.
    """

    cell: str
    share: float
    in_float: dict[str, float] = {}


class Unlike(_Kind, frozen=True):
    """A cell answers little like the fp32 model: the mean cosine of its `output` is so low.

    Nothing labelled tells whether that matters.
    """

    cell: str
    output: str
    cosine: float


class InParts(_Kind, frozen=True):
    """Not all cells that are compared fitted into memory together.

    `parts` holds those that took turns, each with its reference; `alone` those that did not fit
    beside theirs.
    """

    parts: tuple[tuple[str, ...], ...]
    alone: tuple[str, ...] = ()


class ExpectationUnmet(_Kind, frozen=True):
    """The suite expected the cell to be unable to run, for the `reason` given, and it ran."""

    cell: str
    status: str
    reason: str


class NotFaster(_Kind, frozen=True):
    """A compressed cell is not proven faster than its `parent`, for the `cause`, if that shows."""

    cell: str
    parent: str
    pace: Pace
    speedup: Interval
    cause: Cause | None = None


class VersionChange(msgspec.Struct, frozen=True):
    """A library's versions in two runs; None where there is none."""

    library: str
    before: str | None
    now: str | None


class VersionsDiffer(_Kind, frozen=True):
    """The run and its baseline have different versions of libraries."""

    changes: tuple[VersionChange, ...]


class NotInBaseline(_Kind, frozen=True):
    """The baseline has no ok record of the cell: its changes are not judged."""

    cell: str


class NotChosen(_Kind, frozen=True):
    """Cells of the suite and the baseline were left out of the run, and are not judged."""

    cells: tuple[str, ...]


class NotBeside(_Kind, frozen=True):
    """What cells are compared with are the baseline's stored times, for the `reason` given."""

    cells: tuple[str, ...]
    reason: str


class DividedBy(_Kind, frozen=True):
    """`compare = "ratio"` divides by this cell's times, so that its own change is not seen."""

    cell: str


class NotProfiled(_Kind, frozen=True):
    """A cell that was to be profiled did not end well, or has no breakdown."""

    cell: str
    reason: Reason


class NotVisible(_Kind, frozen=True):
    """A limit on a change is smaller than what the machine sees in as many rounds as there may be.

    `budget` is the budget's name, or `regression`. The machine sees a change of `visible` in 80 %
    of gates, None if none that was tried, by its certificate of the day `certified`.
    """

    budget: str
    limit: float
    visible: float | None
    rounds: int
    certified: str


class OfOtherWorkload(_Kind, frozen=True):
    """A budget on several workloads holds these cells of it against a cell of another workload."""

    budget: str  # its name
    cells: tuple[str, ...]
    against: str


class OfOtherRun(_Kind, frozen=True):
    """A caution of the baseline, or of one of two runs that are compared."""

    run: Literal["baseline", "before", "after"]
    caution: Caution


Caution = (
    str
    | Quick
    | OnValidation
    | TooManyThreads
    | TimeWasUp
    | LatenciesLeftOut
    | NotTogether
    | Labelled
    | LittleInt8
    | Unlike
    | InParts
    | ExpectationUnmet
    | NotFaster
    | VersionsDiffer
    | NotInBaseline
    | NotChosen
    | NotBeside
    | DividedBy
    | NotProfiled
    | NotVisible
    | OfOtherWorkload
    | OfOtherRun
)


class Judgement(msgspec.Struct, frozen=True):
    """All verdicts on a run, the exit code that follows from them, and cautions.

    `exit_code` is 0 when every verdict passed; 2 when a cell failed by a user's mistake or was
    unexpectedly unsupported or unavailable; 1 when something regressed, is over its budget, or did
    not run on what the suite requires; else 3: something could not be judged.
    """

    verdicts: tuple[Verdict, ...]
    exit_code: int
    warnings: tuple[Caution, ...] = ()
