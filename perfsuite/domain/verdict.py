"""What judging says of one cell and one limit."""

from __future__ import annotations

from typing import Literal

import msgspec

VerdictStatus = Literal[
    "pass", "over_budget", "regressed", "inconclusive", "incomparable", "missing", "failed"
]


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Verdict(msgspec.Struct, frozen=True):
    """One limit held against one cell. Only `pass` is green.

    `budget` is the budget's name, or `regression` or `status` for the checks that need none; a cell
    that failed has the status `failed`, what a budget would have said of it is `missing`.
    `estimate` is in the limit's own terms: a speed-up, points lost, a relative increase or an
    absolute value. `words` says it to a person in one sentence.
    """

    status: VerdictStatus
    budget: str
    cell: str  # the cell's key
    metric: str
    words: str
    against: str = ""
    limit: float | None = None
    estimate: Interval | None = None
