"""The verb `doctor`: which libraries compute, proven by what ran, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perfsuite import ablation_run, across_run
from perfsuite.config import ablation_suite
from perfsuite.config.doctor_suite import PROBE, doctor_suite
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.profile_suite import FULL
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.diagnosis import Ablation, AcrossProcessors, Diagnosis
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Run
from perfsuite.errors import PerfsuiteError
from perfsuite.judge.ablation import worths
from perfsuite.judge.across import elsewhere, loses_elsewhere, portable_costs
from perfsuite.judge.diagnosis import diagnosis, library_worth, with_findings
from perfsuite.libraries.table import LIBRARIES
from perfsuite.measure.environment import usable_threads
from perfsuite.plugins import refuse_while_importing
from perfsuite.processor import read_processor
from perfsuite.report.tables import ablation as ablation_table
from perfsuite.report.tables import across as across_table
from perfsuite.report.tables import numpy as numpy_table
from perfsuite.runner.numpy_turns import numpy_worths
from perfsuite.runner.plain import plain_evidence
from perfsuite.runner.run_folder import created
from perfsuite.runner.schedule import work_off
from perfsuite.runner.watched import Observe, watched
from perfsuite.store.disk import write_whole
from perfsuite.store.machine_lock import MachineLock
from perfsuite.store.runs import load_run

AnyPath = str | Path
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
    device: str = PROCESSOR,
    precision: str = FULL,
    ablate: bool = False,
    across: bool = False,
    minutes: float | None = None,
    say: Say | None = None,
    observe: Observe | None = None,
) -> Examination:
    """Look at the libraries that compute a workload on each engine; return what was found.

    Without a workload a small net of perfsuite's own is run, in fp32 and in INT8. The arguments are
    those of `profile`. `diagnosis` has it as data: the machine, the libraries, the kernel of each
    layer, and what is wrong, with the fix. Engines that are not installed are told of, and are a
    mistake only if `runtimes` names them. With `ablate` it is also measured what each library is
    worth, by turning it off; with `across`, INT8 of the workload also answers as on processors
    without VNNI, of which `say` is told. Both take minutes: about so many each as `minutes` says.
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
        device=device,
        precision=precision,
    )
    name = "" if workload is None else next(iter(suite.workloads))
    with created(None if out is None else Path(out), suite, cells_of(suite)) as journal:
        plain = plain_evidence()
        work_off(journal, watched(journal, observe, evaluate=False), evaluate=False)
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
    given = _Given(
        workload,
        runtimes,
        recipe,
        suite.batches[0],
        threads,
        samples,
        shapes,
        device,
        precision,
        minutes,
    )
    without = others = None
    _write(made)  # what follows takes minutes, and may be interrupted
    if ablate:
        made, without = _with_ablation(made, journal.folder / ABLATION, given, observe)
        _write(made)
    if across:
        made, others = _with_across(made, journal.folder / ACROSS, given, say, observe)
        _write(made)
    return Examination(journal.folder, found, made, without, others)


def _write(made: Diagnosis) -> None:
    document = msgspec.json.format(msgspec.json.encode(made), indent=2)
    write_whole(Path(made.folder) / DOCUMENT, document + b"\n")


class _Given(NamedTuple):
    """What was asked for, for the runs that follow."""

    workload: WorkloadReference | None
    runtimes: Sequence[RuntimeReference]
    recipe: str | None
    batch: int
    threads: int | None
    samples: AnyPath | None
    shapes: GivenShapes | None
    device: str
    precision: str
    minutes: float | None


def _with_ablation(
    made: Diagnosis, folder: Path, given: _Given, observe: Observe | None
) -> tuple[Diagnosis, Run | None]:
    """Return the diagnosis with what each library is worth, and the run of that, if it began."""
    made, numpy = _with_numpy(made, folder)
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
            device=given.device,
            precision=given.precision,
            minutes=ablation_suite.MINUTES if given.minutes is None else given.minutes,
            observe=observe,
        )
    except PerfsuiteError as error:
        numpy = msgspec.structs.replace(numpy, problem=str(error))
        return msgspec.structs.replace(made, ablation=numpy), None
    run = judged.run
    part = msgspec.structs.replace(
        numpy,
        folder=str(folder),
        libraries=tuple(map(library_worth, worths(run))),
        words=(*ablation_table.sentences(run), *numpy.words),
    )
    return msgspec.structs.replace(made, ablation=part), run


def _with_numpy(made: Diagnosis, folder: Path) -> tuple[Diagnosis, Ablation]:
    """Return what NumPy's BLAS is worth, measured while no other run of this machine measures."""
    told: list[str] = []
    with MachineLock(folder, told.append) as lock, lock.held():
        found = numpy_worths(read_processor().flags, usable_threads())
    made = msgspec.structs.replace(made, warnings=(*made.warnings, *told))
    part = Ablation(numpy_problem=found) if isinstance(found, str) else Ablation(numpy=found)
    return made, msgspec.structs.replace(part, words=tuple(numpy_table.sentences(part)))


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
            minutes=across_run.MINUTES if given.minutes is None else given.minutes,
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
