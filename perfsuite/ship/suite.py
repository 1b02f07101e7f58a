"""The suite that guards what is shipped: its cell as it is, the references, the run's budgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.config import cells, expects, match, requires
from perfsuite.config.reading import read_suite
from perfsuite.config.references import referred
from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe, Shipped
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Budget, Expect, Measure, Require, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.ship.portable import portable
from perfsuite.ship.toml import table_text

ARTIFACT = "artifact"  # the folder of the artifact, beside the suite
_HEAD = """\
# Guards the artifact beside this file: it is run as it was shipped, and nothing is trained or built
# for it. It is held against what the run that made it was held against.
#
#     perfsuite run suite.toml      exits with 0 if every budget holds here, too
#
# Each file of it must have the SHA-256 in {artifact}/files.sha256, and that file the one told here.
# Paths are relative to this one.

"""


class Guarded(msgspec.Struct, frozen=True):
    """A cell that is shipped: its name in the new suite, and the budgets that it is held to.

    `references` are the cells that these hold it against.
    """

    cell: Cell
    budgets: tuple[Budget, ...]
    references: tuple[Cell, ...]


def guarded(run: Run, cell: Cell) -> Guarded:
    """Return what a suite must hold `cell` to: the budgets of its run that speak of it.

    Those against another run are left out, since that is not shipped. Raises `ConfigError` if there
    are none.
    """
    held: list[tuple[Budget, Cell | None]] = []
    for budget in run.header.suite.budgets:
        if budget.baseline or not match(budget.cell, cell.key):
            continue
        if budget.against is None:
            held.append((budget, None))
            continue
        found = referred(budget.against, cell, run.header.cells)
        if len(found) == 1 and found[0] != cell:
            held.append((budget, found[0]))
    if not held:
        raise ConfigError(
            f"{cell.key}: no budget of this run holds it against anything, so a suite could not "
            f"guard it; give the run's suite a budget with `cell` and `against` for it"
        )
    references = tuple(dict.fromkeys(other for _, other in held if other is not None))
    taken = {FP32.name, *(other.recipe for other in references)}
    name = f"{cell.recipe}-shipped" if cell.recipe in taken else cell.recipe
    named = msgspec.structs.replace(cell, recipe=name)
    budgets = tuple(
        msgspec.structs.replace(
            budget, cell=named.key, against=other.key if other is not None else None
        )
        for budget, other in held
    )
    return Guarded(named, budgets, references)


def write_suite(
    path: Path, run: Run, cell: Cell, found: Guarded, folder: Path, sha256: str = ""
) -> None:
    """Write the suite of `cell` to `path`; it will lie in `folder`, beside the artifact.

    `sha256` is that of the list of the artifact's files.
    What the run's suite expects of cells that stand beside these is expected there, too.
    """
    tables = _tables(run.header.suite, cell, found, sha256)
    path.write_text(_text(tables, folder), encoding="utf-8")
    asked = {found.cell.key, *(one.key for one in found.references)}
    others = [one for one in cells(read_suite(path)) if one.key not in asked]
    expected = _expected(run.header.suite.expect, others)
    if expected:
        path.write_text(_text({**tables, "expect": expected}, folder), encoding="utf-8")


def _expected(expect: Iterable[Expect], others: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return the expectations that select one of these cells, without selectors that select all."""
    return [
        {key: value for key, value in msgspec.to_builtins(one).items() if value != "*"}
        for one in expect
        if any(expects(one, cell) for cell in others)
    ]


def _tables(suite: ResolvedSuite, cell: Cell, found: Guarded, sha256: str) -> dict[str, Any]:
    """Return the suite as plain data, by its keys."""
    others = found.references or (_eager(cell),)
    names = tuple(dict.fromkeys(one.workload for one in (cell, *others)))
    recipes = {recipe.name: recipe for recipe in suite.recipes}
    built = dict.fromkeys(one.recipe for one in others if one.recipe != FP32.name)
    return {
        "workloads": [suite.workloads[name] for name in names],
        "runtimes": [suite.runtime(name) for name in dict.fromkeys(o.runtime for o in others)],
        "devices": list(dict.fromkeys(one.device for one in others)),
        "precision": list(dict.fromkeys(one.precision for one in others)),
        "batches": list(dict.fromkeys(one.batch for one in others)),
        "threads": cell.threads,
        "hold_out": True if built and suite.hold_out else None,
        **_thoroughness(suite),
        **{
            key: kept
            for key in ("samples", "shapes", "detection")
            if (kept := _of(getattr(suite, key), names))
        },
        "meters": list(suite.meters),
        "recipes": [
            *(_built(recipes[name], others) for name in built),
            _shipped(recipes[cell.recipe], found.cell, sha256, several=len(names) > 1),
        ],
        "require": [_required(one, found.cell) for one in suite.require if requires(one, cell)],
        "budgets": [msgspec.to_builtins(one) for one in found.budgets],
    }


def _required(one: Require, cell: Cell) -> dict[str, Any]:
    """Return what was required of what is shipped, of its new cell alone."""
    table = {"library": one.library, "instruction_set": one.instruction_set, "reason": one.reason}
    table |= {"workload": cell.workload, "recipe": cell.recipe}
    return {key: value for key, value in table.items() if value}


def _eager(cell: Cell) -> Cell:
    """Return a cell to stand beside one whose budgets are absolute: the same without passes."""
    return msgspec.structs.replace(cell, recipe=FP32.name)


def _thoroughness(suite: ResolvedSuite) -> dict[str, Any]:
    """Return how thoroughly the run measured and evaluated, where it is not as by default.

    Its `minutes` are left out: they may be what was left of a search, and a gate must decide.
    """
    found: dict[str, Any] = {"processes": "auto" if suite.looks else suite.processes}
    if suite.looks is not None and suite.looks.most != Looks().most:
        found["max_processes"] = suite.looks.most
    found["speedups_within"] = suite.speedups_within
    if suite.evaluate.samples is not None:
        found["evaluate"] = {"samples": suite.evaluate.samples}
    if suite.measure != Measure():
        found["measure"] = msgspec.to_builtins(suite.measure)
    if suite.compare != "absolute":
        found["compare"] = suite.compare
    return found


def _of(table: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: msgspec.to_builtins(table[name]) for name in names if name in table}


def _built(recipe: ResolvedRecipe, others: Sequence[Cell]) -> dict[str, Any]:
    """Return the recipe of references: they are built where the suite runs."""
    own = [one for one in others if one.recipe == recipe.name]
    return {
        "name": recipe.name,
        "passes": [_pass(use) for use in recipe.passes],
        "workloads": list(dict.fromkeys(one.workload for one in own)),
        "runtimes": list(dict.fromkeys(one.runtime for one in own)),
    }


def _shipped(recipe: ResolvedRecipe, cell: Cell, sha256: str, *, several: bool) -> dict[str, Any]:
    shipped = Shipped(ARTIFACT, cell.runtime, cell.device, cell.precision, cell.batch, sha256)
    return {
        "name": cell.recipe,
        "passes": [_pass(use) for use in recipe.passes] or None,
        "workloads": [cell.workload] if several else None,
        "shipped": {key: one for key, one in msgspec.to_builtins(shipped).items() if one != ""},
    }


def _pass(use: PassUse) -> dict[str, Any]:
    return {"use": use.use, **use.fields}


def _text(tables: dict[str, Any], folder: Path) -> str:
    """Return the suite's file; arrays of tables come last."""
    arrays = ("recipes", "expect", "require", "budgets")
    keys = {key: value for key, value in tables.items() if key not in arrays}
    parts = [_HEAD.format(artifact=ARTIFACT) + table_text(portable(keys, folder))]
    for key in arrays:
        here = tables.get(key, ())
        here = portable(here, folder) if key == "recipes" else here  # others hold words alone
        parts += [f"[[{key}]]\n{table_text(table)}" for table in here]
    return "\n".join(parts)
