"""What must be asked of a workload before a run: a process loads it and answers."""

from __future__ import annotations

import msgspec

from perfsuite import errors
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Line
from perfsuite.domain.sensitivity import Answer
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import PerfsuiteError
from perfsuite.runner.job import first_job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.temporary import sweep


def ask(suite: ResolvedSuite, cell: Cell) -> Answer:
    """Return which layers the only pass of the cell's recipe can change, and what its task has.

    Raises the error that the process had, as `Unsupported` for a pass that is not for this model.
    """
    sweep()
    line = run_job_in_process(msgspec.structs.replace(first_job(suite, cell), asks_layers=True))
    if line.answer is None:
        raise raised(line)
    return line.answer


def raised(line: Line) -> PerfsuiteError:
    """Return the error of a line, of its class if that is one of perfsuite's."""
    if line.error is None:
        return PerfsuiteError(f"{line.key}: no answer")
    kind = getattr(errors, line.error.kind, None)
    ours = isinstance(kind, type) and issubclass(kind, PerfsuiteError)
    last = [one for one in line.error.output.splitlines() if one.strip()][-1:]
    told = line.error.message if ours or not last else f"{line.error.message} ({last[0].strip()})"
    made = kind if ours else PerfsuiteError
    found: PerfsuiteError = made(f"{line.key}: {told}")  # type: ignore[misc]
    return found
