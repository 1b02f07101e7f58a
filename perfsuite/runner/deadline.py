"""When a run is to leave off: what it does then comes too late, and its cells say so."""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from perfsuite.domain.record import OUT_OF_TIME, Failure, Line
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.switched import Executor


class Deadline(NamedTuple):
    """The moment `at_s` of `time.monotonic` after which nothing is prepared or answered any more.

    The cells in `spared`, by their ids, are done whatever it takes. Timed jobs are short, and of
    cells that are ready, so they are done, too.
    """

    at_s: float
    spared: frozenset[str]

    def left_s(self, job: Job) -> float | None:
        """Return the seconds that a job may take; None where it is not limited."""
        if job.is_timed or job.cell.id in self.spared:
            return None
        return self.at_s - time.monotonic()


def within(execute: Executor, deadline: Deadline | None) -> Executor:
    """Return an executor that does not begin, and cuts off, what comes after the deadline."""
    if deadline is None:
        return execute

    def executed(job: Job) -> Line:
        left_s = deadline.left_s(job)
        if left_s is None:
            return execute(job)
        if left_s <= 0.0:
            failure = Failure(OUT_OF_TIME, "it was not begun: the time was up")
            return line_of(job, status="failed", error=failure)
        return execute(msgspec.structs.replace(job, limit_s=left_s))

    return executed
