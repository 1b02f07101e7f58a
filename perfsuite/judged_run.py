"""What the verbs that run or read a run return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from perfsuite.config.run_plan import remember
from perfsuite.domain.certificate import Certificate
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.judge import judge
from perfsuite.runner.schedule import work_off
from perfsuite.runner.watched import Observe, watched
from perfsuite.store.journal import Journal, read
from perfsuite.store.runs import load_run


class Certified(NamedTuple):
    """A certificate of this machine, the file that holds it, and the run that it follows from."""

    certificate: Certificate
    file: Path
    folder: Path
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """Return that of `perfsuite certify`: 3 where a change of 10 % is not found."""
        return 0 if self.certificate.sees(0.1) else 3


class JudgedRun(NamedTuple):
    """A run, the verdicts on it, and the folder in which it is kept; printed, it is one line.

    It may be unpacked: `folder, run, judgement = perfsuite.run("suite.toml")`.
    """

    folder: Path
    run: Run
    judgement: Judgement

    @property
    def exit_code(self) -> int:
        """Return that of `perfsuite run` or `gate`: 0 when every verdict passed."""
        return self.judgement.exit_code

    def report(self, format: str = "md") -> str:
        """Return the run as a text, in a format of `perfsuite report` or a plug-in's."""
        from perfsuite.report import render

        return render(self.run, self.judgement, format, self.folder)

    def __str__(self) -> str:
        records = [self.run.records.get(cell.id) for cell in self.run.header.cells]
        statuses = Counter(record.status if record else "missing" for record in records)
        cells = ", ".join(f"{count} {status}" for status, count in statuses.items())
        verdicts = self.judgement.verdicts
        passed = sum(verdict.status == "pass" for verdict in verdicts)
        judged = f"{passed} of {len(verdicts)} verdicts pass, " if verdicts else ""
        name = self.run.header.suite.name
        return f"{name}: cells: {cells}; {judged}exit code {self.exit_code}; kept in {self.folder}"

    def __repr__(self) -> str:
        return f"<JudgedRun {self}>"


def worked_off(journal: Journal, observe: Observe | None, *, evaluate: bool = True) -> JudgedRun:
    """Return the run of a journal, worked off and judged; without `evaluate` nothing is answered.

    How long its jobs took is remembered for the plans of others, also if it is interrupted.
    """
    with journal:
        with remembered(journal):
            work_off(journal, watched(journal, observe, evaluate=evaluate), evaluate=evaluate)
        found = load_run(journal.folder)
    return judged(journal, found, judge(found))


@contextmanager
def remembered(journal: Journal) -> Iterator[None]:
    """Remember how long the jobs take that are done inside, also if they are interrupted."""
    before = len(journal.lines)
    try:
        yield
    finally:
        remember(read(journal.folder)[1][before:])


def judged(journal: Journal, run: Run, judgement: Judgement, *warnings: str) -> JudgedRun:
    """Return a run with its verdicts, warned of what its journal was and of these `warnings`."""
    told = (*journal.warnings, *warnings, *judgement.warnings)
    return JudgedRun(journal.folder, run, msgspec.structs.replace(judgement, warnings=told))
