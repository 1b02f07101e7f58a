"""The records of a run, folded from the lines of its journal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal, get_args

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY, STAGE
from perfsuite.domain.record import (
    EMULATED,
    Accuracy,
    Header,
    JobKind,
    Line,
    Part,
    Record,
    Run,
    Slices,
)
from perfsuite.errors import SchemaError
from perfsuite.store.journal import read

_Place = tuple[int, int, int]  # of a line among those of its cell: job, round and part
_Lines = dict[str, dict[_Place, Line]]  # by cell id

_ORDER = {job: place for place, job in enumerate(get_args(JobKind))}


def load_run(folder: Path) -> Run:
    """Return the run stored in `folder`; errors are those of `journal.read`."""
    header, lines, warnings = read(folder)
    return fold(header, lines, warnings)


def fold(header: Header, lines: Iterable[Line], warnings: Iterable[str] = ()) -> Run:
    """Return the run of these lines, with one record for each cell of the header, in its order.

    A later line of the same cell, job, round and part replaces an earlier one.
    """
    own: _Lines = {cell.id: {} for cell in header.cells}
    beside: _Lines = {cell.id: {} for cell in header.cells}
    strangers: dict[str, None] = {}
    for line in lines:
        if line.cell not in own:
            strangers[line.key] = None
            continue
        place = (_ORDER[line.job], _round(line), line.part)
        (beside if line.baseline else own)[line.cell][place] = line
    unknown = tuple(f"{key}: not a cell of this run; its lines were skipped" for key in strangers)
    run = _run(header, own, beside, again=False)
    cells = tuple(cell for cell in header.cells if _measured_again(own[cell.id], header))
    again = None
    if cells:
        again = _run(msgspec.structs.replace(header, cells=cells), own, beside, again=True)
    counted = [line for cell in (*own.values(), *beside.values()) for line in cell.values()]
    if again is not None:
        spent_s = measured_s(counted, 2 * header.suite.processes)
        again = msgspec.structs.replace(again, measured_s=spent_s)
    return msgspec.structs.replace(
        run,
        warnings=(*warnings, *unknown),
        again=again,
        measured_s=measured_s(counted, header.suite.processes),
    )


def _run(header: Header, own: _Lines, beside: _Lines, *, again: bool) -> Run:
    """Return the run of the first measurement, or of the second one, `again`."""
    kept = partial(_of_measurement, processes=header.suite.processes, again=again)
    records = {
        cell.id: _record(cell, kept(own[cell.id], and_bad=not again), header)
        for cell in header.cells
    }
    baselines = {
        cell.id: _record(cell, kept(beside[cell.id], and_bad=False), header, beside=True)
        for cell in header.cells
        if beside[cell.id]
    }
    return Run(header, records, beside=baselines)


def _measured_again(lines: dict[_Place, Line], header: Header) -> bool:
    return any(
        line.job == "measure" and _round(line) >= header.suite.processes for line in lines.values()
    )


def _of_measurement(
    lines: dict[_Place, Line], processes: int, *, again: bool, and_bad: bool
) -> list[Line]:
    """Return the lines by job and round, without the rounds of the other measurement.

    The rounds of a second measurement follow the last that the first one may have. With `and_bad`
    what went wrong in the other one is returned, too: it went wrong with the cell.
    """
    return [
        line
        for _, line in sorted(lines.items())
        if line.round is None
        or (line.round >= processes) == again
        or (line.status != "ok" and and_bad)
    ]


def measured_s(lines: Iterable[Line], rounds: int) -> float:
    """Return the seconds that the first `rounds` rounds took, with what was inspected in them.

    Of processes that take turns one is awake at a time, so that their durations add up.
    """
    return sum(line.duration_s for line in lines if line.round is not None and line.round < rounds)


def _round(line: Line) -> int:
    """Return the round of a line; 0 for jobs that are done once, as inspecting mostly is."""
    if line.job == "measure" and line.round is None:
        raise SchemaError(f"a measure line of {line.key} has no round")
    return line.round or 0


def _record(cell: Cell, lines: list[Line], header: Header, *, beside: bool = False) -> Record:
    """Return the record of one cell from its lines, in the order of the jobs and rounds.

    Of the baseline's artifact, measured `beside`, there are no other jobs that could be missing.
    """
    done = [line for line in lines if line.status == "ok" and not line.part]
    latencies: dict[int, tuple[float, ...]] = {}
    slices: dict[int, Slices] = {}
    stages: dict[int, dict[str, float]] = {}
    values: dict[str, tuple[float, ...]] = {}
    by_round: dict[str, dict[int, float]] = {}
    # What is built for a device that is elsewhere has a size, though nothing runs it here.
    built = [line for line in lines if line.status == "unavailable" and line.artifact]
    for line in (*done, *built):
        for found in line.measurements:
            if line.job == "measure" and found.metric == LATENCY and found.stage is None:
                latencies[_round(line)] = found.samples
                if found.slices:
                    slices[_round(line)] = Slices(line.together, found.slices)
            elif found.metric == STAGE and found.stage is not None and found.samples:
                stages.setdefault(_round(line), {})[found.stage] = found.samples[0]
            elif found.samples:
                # A process is one sample, however many calls it has timed.
                name = f"{found.metric}/{found.stage}" if found.stage else found.metric
                values[name] = (*values.get(name, ()), median(found.samples))
                if line.job == "measure":
                    by_round.setdefault(name, {})[_round(line)] = values[name][-1]
    culprit = _culprit(lines)
    inspected = _inspected(done, culprit)
    status: Literal["ok", "failed", "unsupported", "unavailable", "incomplete"]
    if culprit is not None:
        status = culprit.status
    else:
        only_answers = header.suite.only_answers(cell)
        complete = beside or _complete(
            done, header.suite.least_processes, only_answers=only_answers
        )
        status = "ok" if complete else "incomplete"
    return Record(
        cell=cell,
        status=status,
        latencies_s=latencies,
        values=values,
        by_round=by_round,
        # One that could not be loaded has told what is missing.
        evidence=inspected.evidence if inspected else culprit.evidence if culprit else None,
        labels=tuple(sorted({label for line in lines for label in line.labels})),
        error=culprit.error if culprit else None,
        artifact=next((line.artifact for line in lines if line.artifact), ""),
        breakdown=inspected.breakdown if inspected else None,
        roofline=inspected.roofline if inspected else None,
        stages_s=stages,
        slices=slices,
        parts=_parts(lines),
        widths=next((line.widths for line in done if line.job == "prepare"), ()),
        replaced=next((line.replaced for line in done if line.job == "prepare"), None),
        device=next((line.device for line in done if line.device), None),
        uncounted=next((line.uncounted for line in done if line.job == "prepare"), {}),
        input_shapes=next((line.input_shapes for line in done if line.job == "prepare"), {}),
        made_up=any(line.made_up for line in done),
        likeness=next((line.likeness for line in done if line.job == "prepare"), ()),
        int8_share=inspected.int8_share if inspected else None,
        float_shares=inspected.float_shares if inspected else {},
        left=next((line.left for line in done if line.job == "prepare"), {}),
        metrics=header.metrics,
        looks=header.suite.looks,
        accuracies=next((_accuracies(line) for line in done if line.job == "evaluate"), ()),
    )


def _parts(lines: list[Line]) -> dict[int, tuple[Part, ...]]:
    """Return what further processes of a cell have timed, by round."""
    found: dict[int, tuple[Part, ...]] = {}
    for line in lines:
        for one in line.measurements:
            if line.part and line.status == "ok" and one.metric == LATENCY and one.slices:
                part = Part(one.samples, Slices(line.together, one.slices))
                found[_round(line)] = (*found.get(_round(line), ()), part)
    return found


def _accuracies(line: Line) -> tuple[Accuracy, ...]:
    """Return what an evaluate line found, also one that knew a single metric."""
    return line.accuracies or ((line.accuracy,) if line.accuracy else ())


def _culprit(lines: list[Line]) -> Line | None:
    """Return the line whose status, other than ok, is that of the cell; None if all are ok.

    A prepare line comes first, because the other jobs depend on it; then failed lines; then others.
    """
    bad = [line for line in lines if line.status != "ok"]
    return min(bad, key=lambda line: (line.job != "prepare", line.status != "failed"), default=None)


def _inspected(done: list[Line], culprit: Line | None) -> Line | None:
    """Return the inspect line that the record is of: one that failed by what it found, else the
    first.
    """
    if culprit is not None and culprit.job == "inspect" and culprit.evidence is not None:
        return culprit
    return next((line for line in done if line.job == "inspect"), None)


def _complete(done: list[Line], processes: int, *, only_answers: bool) -> bool:
    """Tell whether no job is missing; evaluating may be, as workloads without labels have none.

    A cell is inspected once or, if its inspect lines have rounds, in each round. What is emulated
    is not measured, and of a cell that `only_answers` nothing else is done.
    """
    jobs = [line.job for line in done]
    if only_answers:
        return "evaluate" in jobs
    if any(EMULATED in line.labels for line in done):
        processes = 0
    in_rounds = any(line.job == "inspect" and line.round is not None for line in done)
    return (
        "prepare" in jobs
        and jobs.count("inspect") >= (processes if in_rounds else 1)
        and jobs.count("measure") >= processes
    )
