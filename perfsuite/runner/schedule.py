"""The order of the jobs of a run; each is done by `process`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from perfsuite.config.expansion import inspected_in_rounds
from perfsuite.domain.cell import Cell
from perfsuite.domain.device import told_apart
from perfsuite.domain.record import UNLABELLED, JobKind, Line
from perfsuite.errors import Incomparable
from perfsuite.runner.job import Job, first_job, rounds
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache
from perfsuite.store.journal import Journal

Executor = Callable[[Job], Line]


class Observer(Protocol):
    """Is told the progress of a run."""

    def started(self, cell: Cell, kind: JobKind, number: int | None) -> None:
        """Tell that a job begins; `number` is its round. Be idle while a measure job runs."""
        ...

    def progressed(self, text: str) -> None:
        """Tell the progress of the prepare job, such as `prune: 120 of 900, 1:10 left`."""
        ...

    def finished(self, line: Line) -> None:
        """Tell that a job has ended with `line`, now or before the run was resumed."""
        ...

    def skipped(self, cell: Cell, kind: JobKind) -> None:
        """Tell that a job is not needed: an earlier one failed, or there are no labels."""
        ...


class SilentObserver:
    """Watches a run and shows nothing."""

    def started(self, cell: Cell, kind: JobKind, number: int | None) -> None:
        """Show nothing."""

    def progressed(self, text: str) -> None:
        """Show nothing."""

    def finished(self, line: Line) -> None:
        """Show nothing."""

    def skipped(self, cell: Cell, kind: JobKind) -> None:
        """Show nothing."""


def work_off(
    journal: Journal,
    observer: Observer,
    execute: Executor | None = None,
    *,
    evaluate: bool = True,
) -> list[Line]:
    """Return all lines, after doing every job that has none yet.

    Each is done in a process of its own, unless `execute` does it. After a failure the other jobs
    of that cell are skipped. Without `evaluate` no test samples are answered.
    """
    if execute is None:
        execute = partial(run_job_in_process, tell=observer.progressed)
    return _Schedule(journal, observer, execute).work(evaluate)


class _Schedule:
    def __init__(self, journal: Journal, observer: Observer, execute: Executor) -> None:
        self.journal, self.observer, self.execute = journal, observer, execute
        self.lines = {(line.cell, line.job, line.round): line for line in journal.lines}
        self.prepared: dict[str, Job] = {}  # by cell id: a job that knows its artifact
        self.failed: set[str] = set()
        self.unlabelled: set[str] = set()
        cells = {cell.id: cell for cell in journal.header.cells}
        self.devices = {
            (cells[line.cell].runtime, cells[line.cell].device): line.device
            for line in journal.lines
            if line.device is not None and line.cell in cells
        }

    def work(self, evaluate: bool) -> list[Line]:
        """Prepare all cells, evaluate and inspect them, then measure with nothing else running."""
        suite, cells = self.journal.header.suite, self.journal.header.cells
        for cell in cells:
            self._prepare(cell)
        for cell in cells:
            if not evaluate or cell.id in self.unlabelled:
                self.observer.skipped(cell, "evaluate")
            else:
                self._follow(cell, "evaluate")
        in_rounds = inspected_in_rounds(suite, cells)
        for cell in cells:
            if cell not in in_rounds:
                self._follow(cell, "inspect")
        for number, order, cell in rounds(in_rounds, suite.processes):
            self._follow(cell, "inspect", number, order)
        for number, order, cell in rounds(cells, suite.processes):
            self._follow(cell, "measure", number, order)
        return list(self.lines.values())

    def _prepare(self, cell: Cell) -> None:
        job = first_job(self.journal.header.suite, cell)
        line = self.lines.get(job.name)
        folder = Cache().get("artifact", line.artifact) if line and line.status == "ok" else None
        if line is None or (line.status == "ok" and folder is None):
            line = self._do(job)  # not done yet, or its artifact is no longer in the cache
            folder = Cache().get("artifact", line.artifact) if line.status == "ok" else None
        else:
            self.observer.finished(line)
        if folder is None:
            self.failed.add(cell.id)
            return
        if UNLABELLED in line.labels:
            self.unlabelled.add(cell.id)
        self.prepared[cell.id] = msgspec.structs.replace(
            job,
            artifact=str(folder),
            artifact_key=line.artifact,
            rows=str(self._rows(cell)),
        )

    def _rows(self, cell: Cell) -> Path:
        return (self.journal.folder / "rows" / f"{cell.id}.npy").resolve()

    def _follow(
        self, cell: Cell, kind: JobKind, number: int | None = None, order: int | None = None
    ) -> None:
        line = self.lines.get((cell.id, kind, number))
        if line is not None:
            self.observer.finished(line)
            if line.status != "ok":
                self.failed.add(cell.id)
        elif cell.id in self.failed:
            self.observer.skipped(cell, kind)
        else:
            prepared = self.prepared[cell.id]
            self._do(msgspec.structs.replace(prepared, kind=kind, round=number, order=order))

    def _do(self, job: Job) -> Line:
        self.observer.started(job.cell, job.kind, job.round)
        line = self.execute(job)
        self._check_device(job.cell, line)
        self.journal.append(line)
        self.lines[job.name] = line
        self.observer.finished(line)
        if line.status != "ok":
            self.failed.add(job.cell.id)
        return line

    def _check_device(self, cell: Cell, line: Line) -> None:
        """Raise `Incomparable`, and keep nothing of `line`, if it was done on another device."""
        if line.device is None:
            return
        before = self.devices.setdefault((cell.runtime, cell.device), line.device)
        if before != line.device:
            then, now = told_apart(before, line.device)
            raise Incomparable(
                f"{self.journal.folder}: this run began on another device (with {cell.runtime} "
                f"'{cell.device}' was {then} and is {now}); start a new one here"
            )
