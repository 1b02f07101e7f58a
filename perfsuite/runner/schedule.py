"""The order of the jobs of a run; each is done by `process`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import msgspec

from perfsuite.config.expansion import inspected_in_rounds, is_inspected_beside
from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.record import NOT_TOGETHER, UNLABELLED, JobKind, Line
from perfsuite.errors import Unsupported
from perfsuite.judge.open_questions import open_questions
from perfsuite.judge.second_measurement import red_cells
from perfsuite.runner.baseline import Baseline
from perfsuite.runner.deadline import Deadline, within
from perfsuite.runner.groups import compared_last, compared_with, groups, name_of, references
from perfsuite.runner.job import Job, first_job, in_turn, name_of_line
from perfsuite.runner.observer import Observer, pass_on
from perfsuite.runner.one_artifact import OneArtifact
from perfsuite.runner.one_device import OneDevice
from perfsuite.runner.parts import References, one_by_one
from perfsuite.runner.processes import Processes
from perfsuite.runner.run_files import RunFiles
from perfsuite.runner.switched import Executor, as_the_whole
from perfsuite.store.cache import Cache
from perfsuite.store.journal import Journal
from perfsuite.store.machine_lock import MachineLock
from perfsuite.store.room import require_room
from perfsuite.store.runs import fold, measured_s
from perfsuite.store.temporary import sweep

Begin = Callable[[Job], None]
Together = Callable[[Sequence[Job], Begin, References], list[Line]]


def work_off(
    journal: Journal,
    observer: Observer,
    execute: Executor | None = None,
    *,
    evaluate: bool = True,
    inspect: bool = True,
    deadline: Deadline | None = None,
) -> list[Line]:
    """Return all lines, after doing every job that has none yet.

    Each is done in a process of its own, and cells that will be compared are measured together,
    unless `execute` does it, one job after the other. After a failure, as of a job that comes after
    the `deadline`, the other jobs of that cell are skipped. Without `evaluate` no test samples are
    answered, and without `inspect` nothing is profiled and no evidence taken.

    Of several runs on a machine one measures at a time; each waits for its turn, and tells so.
    """
    sweep()
    with Processes(partial(pass_on, observer), journal.lines) as processes:
        together: Together = processes.together
        if execute is None:
            execute = processes.execute
        else:
            together = partial(one_by_one, execute)
        schedule = _Schedule(journal, observer, within(execute, deadline), together)
        with schedule.lock:
            return schedule.work(evaluate=evaluate, inspect=inspect)


class _Schedule:
    def __init__(
        self, journal: Journal, observer: Observer, execute: Executor, together: Together
    ) -> None:
        self.journal, self.observer = journal, observer
        self.device, self.artifact = OneDevice(journal), OneArtifact(journal)
        self.files = RunFiles(journal)
        self.lock = MachineLock(journal.folder, self._warn)
        self.apart = False  # whether the system does not let processes take turns
        self.lines = {name_of_line(line): line for line in journal.lines if not line.part}
        self.execute, self.together = as_the_whole(execute, self.lines), together
        self.further = [line for line in journal.lines if line.part]  # of a cell in the same round
        self.prepared: dict[str, Job] = {}  # by cell id: a job that knows its artifact
        self.beside: dict[str, Job] = {}  # by cell id: its baseline's, which is measured beside it
        self.failed: set[str] = set()
        self.unlabelled: set[str] = set()
        self.cached: set[str] = set()  # those whose artifact was built before this run
        self.late: list[Cell] = []  # of these, who is inspected once and was not yet
        header, folder = journal.header, journal.header.baseline
        self.baseline = Baseline(Path(folder), header.environment) if folder else None

    def work(self, *, evaluate: bool, inspect: bool) -> list[Line]:
        """Prepare all cells, evaluate and inspect them, then measure with nothing else running.

        Of cells whose artifact was in the cache already there is nothing to be found out before, so
        they are inspected after the first round, which does not wait for that.
        """
        suite, cells = self.journal.header.suite, self.journal.header.cells
        self.lock.look()
        for cell in cells:
            self._prepare(cell)
        for cell in compared_last(cells):
            if not evaluate or cell.id in self.unlabelled:
                self.observer.skipped(cell, "evaluate")
            else:
                self._follow(cell, "evaluate")
        in_rounds = inspected_in_rounds(suite, cells)
        for cell in cells:
            if not inspect or suite.only_answers(cell):
                self.observer.skipped(cell, "inspect")
            elif cell in in_rounds:
                continue
            elif cell.id in self.cached:
                self.late.append(cell)
            else:
                self._follow(cell, "inspect")
        # One that failed in an earlier sitting does not take turns with the others again.
        for line in self._all_lines():
            if line.status != "ok":
                self._give_up(line.cell, baseline=line.baseline)
        if suite.looks is None:
            self._inspect_rounds(in_rounds, 0)
        measured = groups(suite, cells)
        self._measure_rounds(measured, in_rounds, 0, suite.least_processes)
        self._inspect_late()  # of a suite in which nothing is measured there was no first round
        self._measure_again(measured, in_rounds)
        return self._all_lines()

    def _inspect_late(self) -> None:
        """Inspect those that were left for later: before verdicts, of which cells need it."""
        while self.late:
            self._follow(self.late.pop(0), "inspect")

    def _all_lines(self) -> list[Line]:
        return [*self.lines.values(), *self.further]

    def _measure_again(
        self, measured: Sequence[tuple[Cell, ...]], in_rounds: Sequence[Cell]
    ) -> None:
        """Measure cells a second time whose change has a red verdict: only then it is believed.

        It follows from the first measurement alone, so that a resumed run goes on with the same.
        """
        if self.baseline is None:
            return
        suite = self.journal.header.suite
        first = fold(self.journal.header, self._all_lines())
        red = red_cells(msgspec.structs.replace(first, again=None), self.baseline.run)
        left = [tuple(cell for cell in group if cell in red) for group in measured]
        if not red:
            return
        self.observer.measured_again(red, suite.processes, suite.least_processes)
        again = [cell for cell in in_rounds if cell in red]
        if suite.looks is None:
            self._inspect_rounds(again, suite.processes)
        # If fewer were to do because the time is up, what is red would be undecided again.
        least = max(len(first.records[cell.id].latencies_s) for cell in red)
        self._measure_rounds([group for group in left if group], again, suite.processes, least)

    def _measure_rounds(
        self,
        measured: Sequence[tuple[Cell, ...]],
        in_rounds: Sequence[Cell],
        begin: int,
        least: int,
    ) -> None:
        """Measure groups in as many rounds as the suite says, numbered from `begin` on."""
        suite = self.journal.header.suite
        if suite.looks is not None:
            self._measure_until_decided(measured, in_rounds, suite.looks, begin, least)
            return
        for number in range(begin, begin + suite.processes):
            for group in in_turn(measured, number):
                self._measure(group, number)
            self._inspect_late()

    def _measure_until_decided(
        self,
        measured: Sequence[tuple[Cell, ...]],
        in_rounds: Sequence[Cell],
        looks: Looks,
        begin: int,
        least: int,
    ) -> None:
        """Measure round by round, each group until nothing that rounds may decide is open.

        As stages are judged like latencies, their cells are inspected as often. When the time is
        up no round begins after the first `least`, without which nothing can be judged.
        """
        undecided = measured
        for count in range(1, looks.most + 1):
            number = begin + count - 1
            if count > least and self._time_is_up(number):
                return
            for group in in_turn(undecided, number):
                self._inspect([cell for cell in group if cell in in_rounds], number)
                self._measure(group, number)
                if count >= looks.first and self._is_decided(group, begin, count, looks):
                    undecided = [other for other in undecided if other != group]
            self._inspect_late()

    def _time_is_up(self, count: int) -> bool:
        """Tell whether the first `count` rounds took as long as the suite lets measuring take."""
        minutes = self.journal.header.suite.minutes
        return minutes is not None and measured_s(self._all_lines(), count) >= minutes * 60.0

    def _is_decided(self, group: Sequence[Cell], begin: int, count: int, looks: Looks) -> bool:
        """Tell whether `count` rounds of a group, from number `begin` on, leave nothing open.

        Rounds of an earlier sitting that come later are not looked at, so that a resumed run
        decides as it would have without having been cut short.
        """
        header = msgspec.structs.replace(self.journal.header, cells=tuple(group))
        ids = {cell.id for cell in group}
        seen = (
            line
            for line in self._all_lines()
            if line.cell in ids and (line.round is None or line.round < begin + count)
        )
        run = fold(header, seen)
        baseline = None if self.baseline is None else self.baseline.run
        questions = open_questions(run.again or run, baseline)
        self.observer.looked(group, count, questions, looks.most)
        return not questions

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
        if line.cached:
            self.cached.add(cell.id)
        self.prepared[cell.id] = msgspec.structs.replace(
            job,
            artifact=str(folder),
            artifact_key=line.artifact,
            rows=str((self.journal.folder / "rows" / f"{cell.id}.npy").resolve()),
            against=compared_with(cell, self.journal.header.cells),
        )
        self._stand_beside(cell, line)

    def _stand_beside(self, cell: Cell, line: Line) -> None:
        """Find what of the baseline is measured beside a cell, which was prepared as `line` says.

        What could not be had when the run began is not looked for again.
        """
        job = self.prepared[cell.id]
        before = self.lines.get((cell.id, "prepare", None, True))
        if before is not None and before.status != "ok":
            self.observer.finished(before)
            return
        found = None if self.baseline is None else self.baseline.beside(job, line.device, before)
        if found is None:
            return
        told, self.beside[cell.id] = found
        if before is None or told.status != "ok":
            self._keep(self.beside[cell.id], told)
        else:
            self.observer.finished(before)

    def _inspect_rounds(self, cells: Sequence[Cell], begin: int) -> None:
        suite = self.journal.header.suite
        for number in range(begin, begin + suite.processes):
            for group in in_turn(groups(suite, cells), number):
                self._inspect(group, number)

    def _inspect(self, cells: Sequence[Cell], number: int) -> None:
        """Inspect cells of a group together, for one round."""
        able = self._able(cells, "inspect", number)
        self._take_turns(able, self._members(able, number, "inspect"))

    def _able(self, cells: Sequence[Cell], kind: JobKind, number: int) -> list[Cell]:
        """Return the cells that have not failed, and tell what becomes of the others."""
        able = [cell for cell in cells if cell.id not in self.failed]
        for cell in cells:
            if cell not in able:
                self._follow(cell, kind, number)
        return able

    def _follow(
        self, cell: Cell, kind: JobKind, number: int | None = None, order: int | None = None
    ) -> None:
        line = self.lines.get((cell.id, kind, number, False))
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
        with self.lock.held() if job.is_timed else nullcontext():
            self._begin(job)
            line = self.execute(job)
        self._keep(job, line)
        return line

    def _measure(self, group: Sequence[Cell], number: int) -> None:
        """Measure the cells of a group together, for one round."""
        able = self._able(group, "measure", number)
        self._take_turns(able, self._members(able, number, "measure"))

    def _take_turns(self, cells: Sequence[Cell], jobs: Sequence[Job]) -> None:
        """Do jobs of these cells, those of one round, together.

        A round that was cut short is done again as a whole, because what has its line already was
        not done together with what has not.
        """
        if all(job.name in self.lines for job in jobs):
            for job in jobs:
                self.observer.finished(self.lines[job.name])
        elif len(jobs) == 1:
            self._do(jobs[0])
        else:
            name = name_of(cells)
            jobs = [msgspec.structs.replace(job, together=name) for job in jobs]
            timed = jobs[0].kind == "measure"
            tied = references(self.journal.header.suite, cells) if timed else {}
            with self.lock.held():
                lines = self._measured(jobs, tied)
            named = {job.name: job for job in jobs}
            for line in lines:
                self._keep(named[name_of_line(line)], line)

    def _members(self, cells: Sequence[Cell], number: int, kind: JobKind) -> list[Job]:
        """Return the jobs of one round in their order: of each cell, and of its baseline by it."""
        suite, sides = self.journal.header.suite, list[Job]()
        for cell in cells:
            sides.append(self.prepared[cell.id])
            if cell.id in self.beside and (kind == "measure" or is_inspected_beside(suite, cell)):
                sides.append(self.beside[cell.id])
        return [
            msgspec.structs.replace(job, kind=kind, round=number, order=order)
            for order, job in enumerate(in_turn(sides, number))
        ]

    def _measured(self, jobs: Sequence[Job], tied: References) -> list[Line]:
        """Return the lines of jobs that take turns; labelled ones, where the system forbids it."""
        if not self.apart:
            try:
                return self.together(jobs, self._begin, tied)
            except Unsupported as error:
                self.apart = True
                self._warn(f"cells are measured one after the other: {error}")
        alone = [msgspec.structs.replace(job, together="") for job in jobs]
        lines = one_by_one(self.execute, alone, self._begin, tied)
        return [
            msgspec.structs.replace(line, labels=(*line.labels, NOT_TOGETHER)) for line in lines
        ]

    def _warn(self, text: str) -> None:
        self.journal.warnings.append(text)
        self.observer.warned(text)

    def _begin(self, job: Job) -> None:
        if not job.baseline:
            self.observer.started(job.cell, job.kind, job.round)

    def _keep(self, job: Job, line: Line) -> None:
        require_room(line)
        self.files.check(job.kind)  # else nothing of it is kept
        self.device.check(job.cell, line)
        self.artifact.check(line)
        self.journal.append(line)
        if line.part:
            self.further.append(line)
        else:
            self.lines[job.name] = line
        self.observer.finished(line)
        if line.status != "ok":
            self._give_up(job.cell.id, baseline=job.baseline)

    def _give_up(self, cell: str, *, baseline: bool) -> None:
        """Measure a cell, or only its baseline beside it, no more."""
        if baseline:
            self.beside.pop(cell, None)
        else:
            self.failed.add(cell)
