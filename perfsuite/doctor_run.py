"""The verb `doctor`: which libraries compute, proven by what ran, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perfsuite import ablation_run, across_run
from perfsuite.config.doctor_suite import PROBE, doctor_suite
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.config.run_plan import RunPlan, plan, read_durations
from perfsuite.domain.diagnosis import Ablation, AcrossProcessors, Diagnosis
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Header, Run
from perfsuite.errors import PerfsuiteError
from perfsuite.judge.ablation import worths
from perfsuite.judge.across import elsewhere, loses_elsewhere, portable_costs
from perfsuite.judge.diagnosis import diagnosis, library_worth, with_findings
from perfsuite.libraries.table import LIBRARIES
from perfsuite.plugins import refuse_while_importing
from perfsuite.report.tables import ablation as ablation_table
from perfsuite.report.tables import across as across_table
from perfsuite.runner.observer import Observer, SilentObserver
from perfsuite.runner.plain import plain_evidence
from perfsuite.runner.run_folder import created
from perfsuite.runner.schedule import work_off
from perfsuite.store.disk import write_whole
from perfsuite.store.journal import Journal
from perfsuite.store.runs import load_run

AnyPath = str | Path
Observe = Callable[[Header, RunPlan], Observer]

Say = Callable[[str], None]

DOCUMENT = "doctor.json"
ABLATION, ACROSS = "ablation", "across"  # the folders of these runs, in the examination's


class Examination(NamedTuple):
    """What `perfsuite.doctor` found, the run that it follows from, and the folder that keeps it.

    `ablation` is the run that says what each library is worth, and `across` that in which INT8
    answers as on other processors; None where nobody asked, and where they could not begin.
    """

    folder: Path
    run: Run
    diagnosis: Diagnosis
    ablation: Run | None = None
    across: Run | None = None

    @property
    def exit_code(self) -> int:
        """Return that of `perfsuite doctor`: 0 where nothing is wrong."""
        return self.diagnosis.exit_code

    def __str__(self) -> str:
        from perfsuite.report.doctor import outcome

        return f"{self.run.header.suite.name}: {outcome(self.diagnosis)}; kept in {self.folder}"

    def __repr__(self) -> str:
        return f"<Examination {self}>"


def doctor(
    workload: WorkloadReference | None = None,
    out: AnyPath | None = None,
    *,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    ablate: bool = False,
    across: bool = False,
    say: Say | None = None,
    observe: Observe | None = None,
) -> Examination:
    """Look at the libraries that compute a workload on each engine; return what was found.

    Without a workload a small net of perfsuite's own is run, in fp32 and in INT8. The arguments are
    those of `profile`. `diagnosis` has it as data: the machine, the libraries, the kernel of each
    layer, and what is wrong, with the fix. Engines that are not installed are told of, and are a
    mistake only if `runtimes` names them. With `ablate` it is also measured what each library is
    worth, by turning it off; with `across`, INT8 of the workload also answers as on processors
    without VNNI, of which `say` is told. Both take minutes.
    """
    refuse_while_importing("perfsuite.doctor")
    suite = doctor_suite(
        workload,
        runtimes,
        recipe,
        batch=batch,
        threads=threads,
        samples=None if samples is None else Path(samples),
        shapes=shapes,
    )
    name = "" if workload is None else next(iter(suite.workloads))
    with created(None if out is None else Path(out), suite, cells_of(suite)) as journal:
        plain = plain_evidence()
        work_off(journal, _observer(journal, observe), evaluate=False)
    found = load_run(journal.folder)
    made = diagnosis(
        journal.folder,
        found,
        plain,
        [title for one in LIBRARIES.values() if (title := getattr(one, "title", ""))],
        workload=name,
        asked=bool(runtimes),
        warnings=journal.warnings,
    )
    given = _Given(workload, runtimes, recipe, suite.batches[0], threads, samples, shapes)
    without = others = None
    if ablate:
        made, without = _with_ablation(made, journal.folder / ABLATION, given, observe)
    if across:
        made, others = _with_across(made, journal.folder / ACROSS, given, say, observe)
    document = msgspec.json.format(msgspec.json.encode(made), indent=2)
    write_whole(journal.folder / DOCUMENT, document + b"\n")
    return Examination(journal.folder, found, made, without, others)


class _Given(NamedTuple):
    """What was asked for, for the runs that follow."""

    workload: WorkloadReference | None
    runtimes: Sequence[RuntimeReference]
    recipe: str | None
    batch: int
    threads: int | None
    samples: AnyPath | None
    shapes: GivenShapes | None


def _with_ablation(
    made: Diagnosis, folder: Path, given: _Given, observe: Observe | None
) -> tuple[Diagnosis, Run | None]:
    """Return the diagnosis with what each library is worth, and the run of that, if it began."""
    try:
        judged = ablation_run.ablate(
            PROBE if given.workload is None else given.workload,
            folder,
            runtimes=given.runtimes,
            recipe=given.recipe or FP32.name,
            batch=given.batch,
            threads=given.threads,
            samples=given.samples,
            shapes=given.shapes,
            observe=observe,
        )
    except PerfsuiteError as error:
        return msgspec.structs.replace(made, ablation=Ablation(problem=str(error))), None
    run = judged.run
    part = Ablation(
        str(folder),
        tuple(map(library_worth, worths(run))),
        tuple(ablation_table.sentences(run)),
    )
    return msgspec.structs.replace(made, ablation=part), run


def _with_across(
    made: Diagnosis, folder: Path, given: _Given, say: Say | None, observe: Observe | None
) -> tuple[Diagnosis, Run | None]:
    """Return the diagnosis with what INT8 answers elsewhere, and the run of that, if it began."""
    try:
        judged = across_run.across(
            PROBE if given.workload is None else given.workload,
            folder,
            recipe=given.recipe or "int8",
            runtimes=given.runtimes,
            batch=given.batch,
            threads=given.threads,
            samples=given.samples,
            shapes=given.shapes,
            say=say,
            observe=observe,
        )
    except PerfsuiteError as error:
        return msgspec.structs.replace(made, across=AcrossProcessors(problem=str(error))), None
    run = judged.run
    part = AcrossProcessors(
        str(folder),
        elsewhere(run),
        portable_costs(run),
        tuple(across_table.sentences(run)),
    )
    return with_findings(msgspec.structs.replace(made, across=part), loses_elsewhere(run)), run


def _observer(journal: Journal, observe: Observe | None) -> Observer:
    if observe is None:
        return SilentObserver()
    header = journal.header
    planned = plan(header.suite, header.cells, read_durations())
    jobs = tuple(job for job in planned.jobs if job.kind in ("prepare", "inspect"))
    return observe(header, msgspec.structs.replace(planned, jobs=jobs))
