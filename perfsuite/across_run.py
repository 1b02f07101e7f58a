"""The verb `across`: what becomes of INT8 that is made here on processors without VNNI."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec

from perfsuite.config.across_suite import LEAST, across_suite, cells_across, fitting
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.across import NotTried
from perfsuite.domain.cell import Cell
from perfsuite.domain.elsewhere import Elsewhere
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.record import Run
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import PerfsuiteError
from perfsuite.judge.across import elsewhere
from perfsuite.judged_run import JudgedRun, worked_off
from perfsuite.libraries.places import place_of
from perfsuite.libraries.switches import check_switch
from perfsuite.plugins import refuse_while_importing
from perfsuite.processor import read_processor
from perfsuite.report import words
from perfsuite.runner.job import Job
from perfsuite.runner.paces import Pace, pace, prepared
from perfsuite.runner.run_folder import created
from perfsuite.runner.watched import Observe
from perfsuite.store.elsewhere import keep_elsewhere

AnyPath = str | os.PathLike[str]
Say = Callable[[str], None]

MINUTES = 4.0


def across(
    workload: WorkloadReference,
    out: AnyPath | None = None,
    *,
    recipe: str = "int8",
    runtimes: Sequence[RuntimeReference] = (),
    batch: int = 1,
    threads: int | None = None,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    minutes: float = MINUTES,
    say: Say | None = None,
    observe: Observe | None = None,
) -> JudgedRun:
    """Let INT8 of a workload answer here and as on processors without VNNI; return the run.

    The recipe and its portable form answer the same samples here, with oneDNN capped at instruction
    sets without VNNI (OpenVINO), and on an emulated processor (ONNX Runtime, by QEMU); both forms
    are measured together. As many samples are answered as fit into about `minutes` there, which
    `say` is told. Where an emulator is missing, its cells are `unavailable`, with what to install.
    What an artifact loses there is remembered until it is shipped, whose card then says it. By
    `recipe = "fp32"` an ONNX file is meant that is INT8 already. `judge.across.elsewhere` gives
    the table of the run as data, `portable_costs` what the portable form costs.
    """
    refuse_while_importing("perfsuite.across_run.across")
    suite = across_suite(
        workload,
        runtimes,
        recipe,
        batch=batch,
        threads=threads,
        samples=None if samples is None else Path(samples),
        shapes=shapes,
    )
    suite, cells = _fitted(
        suite, cells_across(suite, read_processor().flags), minutes, say or _said_to_nobody
    )
    found = worked_off(created(None if out is None else Path(out), suite, cells), observe)
    keep_elsewhere(_by_artifact(found.run))
    return found


def _by_artifact(run: Run) -> dict[str, list[Elsewhere]]:
    """Return what was found by the keys of artifacts, for whoever ships one of them."""
    keys = {record.cell.key: record.artifact for record in run.records.values()}
    found: dict[str, list[Elsewhere]] = {}
    for one in elsewhere(run):
        if (artifact := keys.get(one.artifact)) and one.there is not None:
            found.setdefault(artifact, []).append(one)
    return found


def _fitted(
    suite: ResolvedSuite, cells: Sequence[Cell], minutes: float, say: Say
) -> tuple[ResolvedSuite, tuple[Cell, ...]]:
    """Return the suite with as many samples as fit into the time, and the cells that can be tried.

    Raises the error of the first runtime if none can prepare the recipe.
    """
    assert suite.across is not None
    asked = _Asked(suite, cells)
    samples = fitting({there: one.there_s for there, one in asked.paces.items()}, minutes)
    reasons = dict(asked.reasons)
    for there, one in asked.paces.items():
        count = samples[there.runtime]
        say(_told(there, one, count))
        if count == 0:
            reasons[there] = (
                f"{there.key}: a sample takes {words.seconds(one.there_s)} there, so that fewer "
                f"than {LEAST} fit into {minutes:g} minutes; give it more `minutes`"
            )
    left_out = {one: reasons[found] for one in cells for found in _of_native(suite, one, reasons)}
    across = msgspec.structs.replace(
        suite.across,
        samples={runtime: count for runtime, count in samples.items() if count},
        not_tried=tuple(NotTried(one, told) for one, told in left_out.items()),
    )
    tried = tuple(one for one in cells if one not in left_out)
    return msgspec.structs.replace(suite, across=across), tried


class _Asked:
    """How long a sample takes in the cells of the native form that answer elsewhere, or why not."""

    def __init__(self, suite: ResolvedSuite, cells: Sequence[Cell]) -> None:
        self.paces: dict[Cell, Pace] = {}
        self.reasons: dict[Cell, str] = {}
        assert suite.across is not None
        errors: list[PerfsuiteError] = []
        native = [one for one in cells if one.recipe == suite.across.recipe]
        whole = [one for one in native if not one.switch]
        for here in whole:
            others = [one for one in native if one.switch and _whole(one) == here]
            try:
                job = prepared(suite, here)
            except PerfsuiteError as error:
                errors.append(error)
                self.reasons.update(dict.fromkeys(others, str(error)))
                continue
            for there in others:
                self._ask(job, there)
        if len(errors) == len(whole):
            raise errors[0]

    def _ask(self, job: Job, there: Cell) -> None:
        try:
            check_switch(there, read_processor().flags)
            self.paces[there] = pace(job, there)
        except PerfsuiteError as error:
            self.reasons[there] = str(error)


def _of_native(suite: ResolvedSuite, cell: Cell, found: Collection[Cell]) -> list[Cell]:
    """Return the cell of the native form among `found` that stands for this one, if there is."""
    assert suite.across is not None
    native = msgspec.structs.replace(cell, recipe=suite.across.recipe)
    return [native] if native in found else []


def _whole(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, switch="")


def _told(there: Cell, found: Pace, count: int) -> str:
    where, by = place_of(there.switch)
    return (
        f"{there.runtime} as on {where} ({by}): {words.seconds(found.there_s)} for a sample, "
        f"{words.times(found.there_s / found.here_s)} the time that it takes here; "
        f"{f'at most {count:,}' if count else 'too few'} samples fit"
    )


def _said_to_nobody(text: str) -> None:
    """Take a text that nobody watches for."""
