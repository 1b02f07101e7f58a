"""Which cell of its run a compressed variant came from."""

from __future__ import annotations

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse
from perfsuite.domain.record import Run
from perfsuite.judge.reference import ok_cells


def parent_cell(run: Run, cell: Cell) -> Cell | None:
    """Return the cell that `cell` must be faster than; None for `fp32`, and where none is ok.

    Of the cells that ended well and are equal but for the recipe, it is the one that did most of
    the same: whose passes are the longest proper prefix of this one's, fields included. At last it
    is `fp32`, which does nothing.
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
    return max(kin, key=lambda other: len(passes.get(other.recipe, ())), default=None)


def _begins(passes: tuple[PassUse, ...], others: tuple[PassUse, ...]) -> bool:
    """Return whether `passes` do what the `others` do, and then more."""
    return 0 < len(others) < len(passes) and passes[: len(others)] == others
