"""The phases of a search: ordinary runs, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from perfsuite.config.run_plan import RunPlan
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Header, Line, Run
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.domain.survey import Survey
from perfsuite.errors import PerfsuiteError
from perfsuite.runner.deadline import Deadline
from perfsuite.runner.job import first_job
from perfsuite.runner.observer import Observer, SilentObserver
from perfsuite.runner.processes import Processes
from perfsuite.runner.run_folder import created, resumed
from perfsuite.runner.schedule import work_off
from perfsuite.runner.switched import Executor
from perfsuite.runner.watched import watched
from perfsuite.search.decisions import EARLIER
from perfsuite.store.journal import FILE, read
from perfsuite.store.runs import load_run


class Follow(Protocol):
    """Shows a search: each phase in words, and the progress of its run."""

    def phase(self, words: str) -> None:
        """Show what begins."""
        ...

    def __call__(self, header: Header, planned: RunPlan) -> Observer:
        """Return who watches the run of the phase."""
        ...


class Silent:
    """Shows nothing."""

    def phase(self, words: str) -> None:
        """Show nothing."""

    def __call__(self, header: Header, planned: RunPlan) -> Observer:
        """Return who shows nothing."""
        return SilentObserver()


class Phases:
    """Works off the phases of the search in `folder`.

    `execute` does a job in place of a process of its own. `warnings` are those of the runs of this
    sitting, by the name of the phase.
    """

    def __init__(self, folder: Path, follow: Follow, execute: Executor | None = None) -> None:
        self.folder, self._follow, self._execute = folder, follow, execute
        self.warnings: dict[str, list[str]] = {}

    def run(
        self,
        name: str,
        words: str,
        suite: ResolvedSuite,
        cells: Sequence[Cell],
        *,
        evaluate: bool,
        deadline: Deadline | None = None,
    ) -> Run:
        """Return the run of these cells in the sub-folder `name`, gone on with if it was begun.

        What comes after the `deadline` is not done.
        """
        folder = self.folder / name
        self._follow.phase(words)
        if (folder / FILE).is_file():
            opened = resumed(folder, suite, tuple(cells))
        else:
            opened = created(folder, suite, tuple(cells))
        with opened as journal:
            observer = watched(journal, self._follow, evaluate=evaluate)
            work_off(journal, observer, self._execute, evaluate=evaluate, deadline=deadline)
            self.warnings[name] = list(journal.warnings)
        return load_run(folder)

    def survey(
        self, words: str, suite: ResolvedSuite, cell: Cell, training: dict[str, object]
    ) -> Survey:
        """Return what a survey job finds of a cell.

        Raises `PerfsuiteError` with the job's error if it did not end well.
        """
        self._follow.phase(words)
        job = msgspec.structs.replace(first_job(suite, cell), kind="survey", training=training)
        if self._execute is not None:
            line = self._execute(job)
        else:
            with Processes(lambda key, text: None) as processes:
                line = processes.execute(job)
        if line.survey is None:
            said = line.error.message if line.error else line.status
            raise PerfsuiteError(f"{cell.workload}: {said}")
        return line.survey

    def note(self, text: str) -> None:
        """Show what was done beside measuring."""
        self._follow.phase(text)

    def spent_s(self) -> float:
        """Return the seconds that the jobs of all phases took so far, also in earlier sittings."""
        return sum(line.duration_s for _, lines in self.journals() for line in lines)

    def journals(self) -> Iterator[tuple[Header, list[Line]]]:
        """Yield the header and the lines of each phase so far, also of searches set aside."""
        found = [*self.folder.glob(f"*/{FILE}"), *self.folder.glob(f"{EARLIER}*/*/{FILE}")]
        for path in sorted(found):
            header, lines, _ = read(path.parent)
            yield header, lines
