"""Loading of a suite: read, checked, and limited to the cells that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from perfsuite.config.checking import check
from perfsuite.config.conversion import Location, convert
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.expansion import check_budgets, expects, match, requires
from perfsuite.config.naming import check_name
from perfsuite.config.python_suite import Suite, table_of
from perfsuite.config.reading import read_toml, resolve
from perfsuite.config.references import held_against
from perfsuite.config.suite_table import SuiteTable
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import Budget, Inspect, ResolvedSuite
from perfsuite.errors import ConfigError

QUICK_SAMPLES, QUICK_PROCESSES = 500, 3


def load_suite(
    given: Path | Suite, only: Sequence[str] = (), *, quick: bool = False
) -> tuple[ResolvedSuite, tuple[Cell, ...], tuple[str, ...]]:
    """Return the checked suite, its chosen cells, and warnings.

    `only` are globs on the keys of cells, of which one must match; without any, all are chosen.
    With `quick`, the suite measures so little that its results are not reliable.
    """
    suite, cells = _checked(given)
    warnings: tuple[str, ...] = ()
    if only:
        chosen = tuple(cell for cell in cells if any(match(glob, cell.key) for glob in only))
        for glob in only:
            if not any(match(glob, cell.key) for cell in chosen):
                keys = "\n  ".join(cell.key for cell in cells)
                raise ConfigError(f"--only '{glob}' matches no cell; the cells are\n  {keys}")
        suite, warnings = _narrowed(suite, chosen)
        cells = chosen
    return _quick(suite) if quick else suite, cells, warnings


def _checked(given: Path | Suite) -> tuple[ResolvedSuite, tuple[Cell, ...]]:
    if isinstance(given, Suite):
        file, folder = Location("Suite(...)"), Path.cwd()
        name = convert(given.name, str, file.key("name"))
        check_name(name, file.key("name"))
        written = table_of(given, file)
    else:
        file, name, folder = Location(given.name), given.stem, given.resolve().parent
        written = read_toml(given)
    table = convert(written, SuiteTable, file)
    suite = resolve(table, name, folder, file)
    own = {recipe.name: len(recipe.passes) for recipe in table.recipes}
    inherited = {one.name: len(one.passes) - own.get(one.name, 0) for one in suite.recipes}
    check(suite, file, inherited)
    cells = cells_of(suite)
    check_budgets(suite, cells, file)
    return suite, cells


def _narrowed(
    suite: ResolvedSuite, cells: tuple[Cell, ...]
) -> tuple[ResolvedSuite, tuple[str, ...]]:
    """Return the suite without what it says only of cells that were not chosen, and warnings."""

    def whole(budget: Budget) -> bool:
        named = [cell for cell in cells if match(budget.cell, cell.key)]
        if budget.against is None:
            return bool(named)
        return any(held_against((budget,), named, cells).values())

    kept = tuple(budget for budget in suite.budgets if whole(budget))
    expect = tuple(e for e in suite.expect if any(expects(e, cell) for cell in cells))
    require = tuple(r for r in suite.require if any(requires(r, cell) for cell in cells))
    left = [f"budget '{budget.name}'" for budget in suite.budgets if budget not in kept]
    left += [f"requirement '{one.what}'" for one in suite.require if one not in require]
    warnings = tuple(f"{one} was left out: --only chose none of its cells" for one in left)
    suite = msgspec.structs.replace(suite, budgets=kept, expect=expect, require=require)
    return suite, warnings


def _quick(suite: ResolvedSuite) -> ResolvedSuite:
    measure = msgspec.structs.replace(suite.measure, calls=10, seconds=0.2, warmup_seconds=1.0)
    samples = min(suite.evaluate.samples or QUICK_SAMPLES, QUICK_SAMPLES)
    return msgspec.structs.replace(
        suite,
        measure=measure,
        processes=min(suite.processes, QUICK_PROCESSES),
        looks=None,
        minutes=None,
        speedups_within=None,
        evaluate=msgspec.structs.replace(suite.evaluate, samples=samples),
        inspect=Inspect(),
    )
