"""Cells with a switch are prepared as those without: their artifact is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from perfsuite.domain.record import EMULATED, Failure, Line
from perfsuite.errors import PerfsuiteError, Unavailable, Unsupported
from perfsuite.libraries.switches import check_switch, switch_of
from perfsuite.processor import read_processor
from perfsuite.runner.job import Job, JobName, line_of

Executor = Callable[[Job], Line]


def as_the_whole(execute: Executor, lines: Mapping[JobName, Line]) -> Executor:
    """Return an executor that takes what a cell with a switch is prepared as from the one without.

    `lines` are those of the run so far, by the names of their jobs. Where the cell without is not
    in them, `execute` prepares it. A switch that cannot take effect on this machine fails its cell.
    """

    def executed(job: Job) -> Line:
        if job.kind != "prepare" or not job.cell.switch:
            return execute(job)
        try:
            check_switch(job.cell, read_processor().flags)
        except PerfsuiteError as error:
            failure = Failure(type(error).__name__, str(error))
            return line_of(job, status=_status(error), error=failure)
        whole = msgspec.structs.replace(job, cell=msgspec.structs.replace(job.cell, switch=""))
        found = lines.get(whole.name) or execute(job)
        switch = switch_of(job.cell)
        told = (EMULATED,) if switch is not None and switch.emulator else ()
        return msgspec.structs.replace(
            found,
            cell=job.cell.id,
            key=job.cell.key,
            labels=(*found.labels, *told),
            duration_s=0.0,
        )

    return executed


def _status(error: PerfsuiteError) -> Literal["unsupported", "unavailable", "failed"]:
    if isinstance(error, Unsupported):
        return "unsupported"
    return "unavailable" if isinstance(error, Unavailable) else "failed"
