"""The cells that budgets hold others against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import Budget

_BATCH = 3  # the place of the batch in a key without its workload
_WILD = frozenset("*?[")


def whole_matches(against: str, cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells whose whole keys `against` matches."""
    return [cell for cell in cells if fnmatchcase(cell.key, against)]


def referred(against: str, cell: Cell, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that `against` names for `cell`: one, unless it is ambiguous or wrong.

    A glob that matches whole keys names these, whatever the cell. Any other is matched with the
    keys of the same workload without that, or with their beginning: `fp32/pytorch`. A batch that it
    does not name is that of the cell.
    """
    if whole := whole_matches(against, cells):
        return whole
    found = [other for other in cells if other.workload == cell.workload and _is(against, other)]
    parts = against.split("/")
    if len(parts) > _BATCH and not _WILD & set(parts[_BATCH]):
        return found
    return [other for other in found if other.batch == cell.batch]


def held_against(
    budgets: Iterable[Budget], named: Iterable[Cell], cells: Sequence[Cell]
) -> dict[Cell, tuple[Cell, ...]]:
    """Return, of each of the `named` cells, those among `cells` that budgets hold it against."""
    budgets = [budget for budget in budgets if budget.against is not None]
    return {
        cell: tuple(
            dict.fromkeys(
                other
                for budget in budgets
                if budget.against is not None and fnmatchcase(cell.key, budget.cell)
                for other in referred(budget.against, cell, cells)
            )
        )
        for cell in named
    }


def _is(against: str, cell: Cell) -> bool:
    rest = cell.key.removeprefix(f"{cell.workload}/")
    return fnmatchcase(rest, against) or fnmatchcase(rest, f"{against}/*")
