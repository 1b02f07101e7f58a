"""Which cells are measured together: those that will be compared with each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from perfsuite.config.references import held_against
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.judge.references import reference_cell
from perfsuite.libraries.switches import switch_of


def groups(suite: ResolvedSuite, cells: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    """Return the cells that are measured in groups, in the suite's order.

    What is emulated, or only answers, is in none. Cells of one workload and batch are compared in
    tables, or where things are turned off, those that differ in that alone; a budget ties its cells
    to the one that it holds them against.
    """
    cells = [one for one in cells if not _is_emulated(one) and not suite.only_answers(one)]
    held = held_against(suite.budgets, cells, cells)
    kind = _whole if suite.switches else _workload_and_batch
    found: list[list[Cell]] = []
    for cell in cells:
        ties = [group for group in found if any(_compared(held, cell, one, kind) for one in group)]
        joined = [cell for group in ties for cell in group] + [cell]
        found = [group for group in found if group not in ties] + [joined]
    place = {cell: index for index, cell in enumerate(cells)}
    ordered = [tuple(sorted(group, key=place.__getitem__)) for group in found]
    return sorted(ordered, key=lambda group: place[group[0]])


def references(suite: ResolvedSuite, group: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    """Return, by the id of each cell of a group, the ids of others that it is held against.

    That is the one that it is compared with in tables, and those of budgets; of one that is slowed
    down on purpose, or in which something is turned off, also the one that is not.
    """
    found = {}
    of_budgets = held_against(suite.budgets, group, group)
    for cell in group:
        original = _original(suite, cell, group)
        whole = next((one for one in group if one == _whole(cell)), None)
        held = [reference_cell(cell, group), original, whole, *of_budgets[cell]]
        found[cell.id] = tuple(
            dict.fromkeys(one.id for one in held if one is not None and one != cell)
        )
    return found


def compared_with(cell: Cell, cells: Sequence[Cell]) -> str:
    """Return the id of the cell that a cell's answers are compared with; '' for that one itself."""
    found = reference_cell(cell, cells)
    return "" if found is None or found == cell else found.id


def compared_last(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells, each after the one that its answers are compared with."""
    return sorted(cells, key=lambda cell: bool(compared_with(cell, cells)))


def _original(suite: ResolvedSuite, cell: Cell, group: Sequence[Cell]) -> Cell | None:
    """Return the cell of the group that differs in the name and slow-down of its recipe alone."""
    passes = {recipe.name: recipe.passes for recipe in suite.recipes}
    first = next((name for name in passes if passes[name] == passes.get(cell.recipe)), "")
    found = msgspec.structs.replace(cell, recipe=first)
    return found if found in group else None


def name_of(group: Sequence[Cell]) -> str:
    """Return 16 hexadecimal digits that tell this group from others."""
    return hashlib.sha256("".join(sorted(cell.id for cell in group)).encode()).hexdigest()[:16]


def _is_emulated(cell: Cell) -> bool:
    switch = switch_of(cell)
    return switch is not None and bool(switch.emulator)


def _compared(
    held: Mapping[Cell, tuple[Cell, ...]],
    one: Cell,
    other: Cell,
    kind: Callable[[Cell], object],
) -> bool:
    return kind(one) == kind(other) or other in held[one] or one in held[other]


def _workload_and_batch(cell: Cell) -> tuple[str, int]:
    return cell.workload, cell.batch


def _whole(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, switch="")
