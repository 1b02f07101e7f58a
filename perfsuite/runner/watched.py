"""Who watches a run that begins: made by whoever shows progress, from the plan of its jobs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from perfsuite.config.run_plan import RunPlan, plan, read_durations
from perfsuite.domain.record import Header
from perfsuite.runner.observer import Observer, SilentObserver
from perfsuite.store.journal import Journal

Observe = Callable[[Header, RunPlan], Observer]


def watched(journal: Journal, observe: Observe | None, *, evaluate: bool = True) -> Observer:
    """Return the observer that `observe` gives for the run of a journal; a silent one without.

    It is told the jobs that will be done: without `evaluate` no test samples are answered.
    """
    if observe is None:
        return SilentObserver()
    header = journal.header
    planned = plan(header.suite, header.cells, read_durations(), beside=bool(header.baseline))
    done = (job for job in planned.jobs if job.count and (evaluate or job.kind != "evaluate"))
    return observe(header, msgspec.structs.replace(planned, jobs=tuple(done)))
