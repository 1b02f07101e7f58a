"""What judging says: its verdicts, and what a person should know beside them."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.verdict import Interval, Reason, Verdict

Pace = Literal["faster", "not proven faster", "slower"]


class _Kind(msgspec.Struct, frozen=True, tag_field="kind", tag=True):
    """One of several kinds, which is told by its class and, where it is stored, by `kind`."""


# Why a compressed cell is not proven faster than its parent.


class OnlySimulated(_Kind, frozen=True):
    """Its time is not that of real kernels."""


class MacsNotFewer(_Kind, frozen=True):
    """Its MACs have hardly changed, or are more: `macs_ratio` is the parent's / its own."""

    macs_ratio: float


class ProcessesDiffer(_Kind, frozen=True):
    """The speed-ups of its `processes` pairs lie too far apart to tell."""

    processes: int
    least: float
    most: float


class RowTooSlow(_Kind, frozen=True):
    """A row of the breakdown lacks most of what its MACs promise.

    `before_s` is what it takes in the parent's profiled call, 0 where that has no such row, and
    `macs_ratio` the parent's MACs / its own, 1 where they are not known.
    """

    row: str
    before_s: float
    now_s: float
    macs_ratio: float


class LittleComputes(_Kind, frozen=True):
    """Most of its call, `share`, has no MACs that could become fewer; so was it `before`."""

    share: float
    before: float


Cause = OnlySimulated | MacsNotFewer | ProcessesDiffer | RowTooSlow | LittleComputes


# What else a person should know. What reading a run, or an error's message, tells is plain text.


class Quick(_Kind, frozen=True):
    """The run was made with `--quick`, which measures too little to be believed."""


class TooManyThreads(_Kind, frozen=True):
    """Cells ask for more threads than could run at once."""

    threads: int
    cores: int


class LatenciesLeftOut(_Kind, frozen=True):
    """The latencies of some rounds are not all positive numbers and do not count."""

    cell: str  # its key, as in all that follows
    rounds: tuple[int, ...]


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
    """The run and its baseline were made with other versions, which is never refused."""

    changes: tuple[VersionChange, ...]


class NotInBaseline(_Kind, frozen=True):
    """The baseline has no ok record of the cell: its changes are not judged."""

    cell: str


class DividedBy(_Kind, frozen=True):
    """`compare = "ratio"` divides by this cell's times, whose own change hides therefore."""

    cell: str


class NotProfiled(_Kind, frozen=True):
    """A cell that was to be profiled did not end well, or has no breakdown."""

    cell: str
    reason: Reason


class OfOtherRun(_Kind, frozen=True):
    """What there is to know of the baseline, or of one of two runs that are compared."""

    run: Literal["baseline", "before", "after"]
    caution: Caution


Caution = (
    str
    | Quick
    | TooManyThreads
    | LatenciesLeftOut
    | ExpectationUnmet
    | NotFaster
    | VersionsDiffer
    | NotInBaseline
    | DividedBy
    | NotProfiled
    | OfOtherRun
)


class Judgement(msgspec.Struct, frozen=True):
    """All verdicts on a run, what they mean for the exit code, and what else a person should know.

    `exit_code` is 0 when every verdict passed; 2 when a cell failed by a user's mistake or was
    unexpectedly unsupported or unavailable; 1 when something regressed or is over its budget; else
    3: something could not be judged.
    """

    verdicts: tuple[Verdict, ...]
    exit_code: int
    warnings: tuple[Caution, ...] = ()
