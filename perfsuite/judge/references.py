"""The cell of its run that a cell is compared with, and the cell that a variant was made from."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from perfsuite.config import cells
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse
from perfsuite.domain.record import Run
from perfsuite.judge.metrics import typical_latency


def ok_cells(run: Run) -> list[Cell]:
    """Return the cells that ended well, in the suite's order."""
    return [
        cell
        for cell in run.header.cells
        if (record := run.records.get(cell.id)) is not None and record.status == "ok"
    ]


def is_cut_short(run: Run, cell: Cell) -> bool:
    """Tell whether the run was ended before all of the cell was done, which it has."""
    record = run.records.get(cell.id)
    return record is not None and record.status == "incomplete"


def other_threads(cell: Cell, run: Run) -> int | None:
    """Return with how many threads the run has this cell; None if it has it not, or as it is."""
    alike = (other.threads for other in run.header.cells if other.key == cell.key)
    return next((threads for threads in alike if threads != cell.threads), None)


def not_chosen(run: Run, baseline: Run) -> dict[str, str]:
    """Return the cells of the baseline, id to key, that the run's suite has and the run has not.

    They were left out by whoever ran it (`--only`), as they have not gone from the suite.
    """
    # The number of threads, which may follow from the machine, is in no key.
    suite = msgspec.structs.replace(run.header.suite, threads=1)
    left_out = {cell.key for cell in cells(suite)} - {cell.key for cell in run.header.cells}
    return {cell.id: cell.key for cell in baseline.header.cells if cell.key in left_out}


def reference_cell(cell: Cell, candidates: Iterable[Cell]) -> Cell | None:
    """Return the candidate that `cell` is compared with, maybe itself; None if there is none.

    It has the same workload and batch, and no switch: fp32 in eager PyTorch on the same device if
    it exists, else on another device, else the first candidate.
    """
    alike = [
        other
        for other in candidates
        if (other.workload, other.batch) == (cell.workload, cell.batch) and not other.switch
    ]
    return min(alike, key=lambda other: _distance(other, cell), default=None)


def _distance(candidate: Cell, cell: Cell) -> tuple[bool, bool]:
    eager = (candidate.recipe, candidate.runtime, candidate.precision) == (
        "fp32",
        "pytorch",
        "fp32",
    )
    return (not eager, eager and candidate.device != cell.device)


def parent_cell(run: Run, cell: Cell) -> Cell | None:
    """Return the cell that `cell` must be faster than; None for `fp32`, and where none is ok.

    Of the ok cells that differ only in the recipe, it is the one whose passes, fields included, are
    the longest proper prefix of this one's; if there is none, it is `fp32`. An engine that does not
    support the net without passes, as one for binary nets alone, has no such cell: there it is the
    fastest `fp32` of the other engines.
    """
    if cell.recipe == FP32.name:
        return None
    passes = {recipe.name: recipe.passes for recipe in run.header.suite.recipes}
    own = passes.get(cell.recipe, ())
    kin = [
        other
        for other in ok_cells(run)
        if msgspec.structs.replace(other, recipe=cell.recipe) == cell
        and (other.recipe == FP32.name or _begins(own, passes.get(other.recipe, ())))
    ]
    if not kin and _is_unsupported(run, msgspec.structs.replace(cell, recipe=FP32.name)):
        return _fastest_elsewhere(run, cell)
    return max(kin, key=lambda other: len(passes.get(other.recipe, ())), default=None)


def _is_unsupported(run: Run, cell: Cell) -> bool:
    record = run.records.get(cell.id)
    return record is not None and record.status == "unsupported"


def _fastest_elsewhere(run: Run, cell: Cell) -> Cell | None:
    """Return the fastest ok cell that differs in the recipe, which is `fp32`, and the engine."""
    timed = [
        (latency_s, other)
        for other in ok_cells(run)
        if other.recipe == FP32.name
        and msgspec.structs.replace(other, recipe=cell.recipe, runtime=cell.runtime) == cell
        and (latency_s := typical_latency(run.records[other.id])) is not None
    ]
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def _begins(passes: tuple[PassUse, ...], others: tuple[PassUse, ...]) -> bool:
    """Tell whether the `others` are a proper prefix of `passes`."""
    return 0 < len(others) < len(passes) and passes[: len(others)] == others
