"""The cells of a suite, and the globs that select them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import product

from perfsuite.config.conversion import Location
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import Expect, ResolvedSuite
from perfsuite.errors import ConfigError

_SHOWN = 8  # keys in one message


def match(pattern: str, key: str) -> bool:
    """Tell whether a glob matches a whole key, case-sensitively; `*` matches `/` too."""
    return fnmatchcase(key, pattern)


def expects(expect: Expect, cell: Cell) -> bool:
    """Tell whether an expectation is for this cell."""
    return (
        match(expect.workload, cell.workload)
        and match(expect.recipe, cell.recipe)
        and match(expect.runtime, cell.runtime)
        and match(expect.device, cell.device)
    )


def cells(suite: ResolvedSuite) -> tuple[Cell, ...]:
    """Return every combination of the suite once, the workload varying slowest, the batch fastest.

    A suite without `threads` gets the cores that this process may use.
    """
    threads = suite.threads
    if threads is None:
        from perfsuite.measure.environment import usable_threads

        threads = usable_threads()
    combinations = product(
        suite.workloads,
        suite.recipes,
        suite.runtimes,
        suite.devices,
        suite.precision,
        suite.batches,
    )
    return tuple(
        dict.fromkeys(
            Cell(workload, recipe.name, runtime, device, precision, batch, threads)
            for workload, recipe, runtime, device, precision, batch in combinations
            if is_for(recipe.workloads, workload) and is_for(recipe.runtimes, runtime)
        )
    )


def is_for(patterns: Sequence[str], name: str) -> bool:
    """Tell whether a name matches one of the patterns, or there are no patterns."""
    return not patterns or any(match(one, name) for one in patterns)


def inspected_in_rounds(suite: ResolvedSuite, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with budgets on stages, and the reference cells of these budgets.

    They are inspected in every round, because the sample of a time is a process. With
    `compare = "ratio"`, all cells by which another one may be divided are among them.
    """
    found: set[Cell] = set()
    for budget in suite.budgets:
        if budget.stage is None:
            continue
        named = {cell for cell in cells if match(budget.cell, cell.key)}
        found |= named
        if budget.against is not None:
            found |= {cell for cell in cells if match(budget.against, cell.key)}
        elif budget.baseline and suite.compare == "ratio":
            kinds = {(cell.workload, cell.batch) for cell in named}
            found |= {cell for cell in cells if (cell.workload, cell.batch) in kinds}
    return [cell for cell in cells if cell in found]


def is_inspected_beside(suite: ResolvedSuite, cell: Cell) -> bool:
    """Return whether a budget on a stage holds the cell against the same one of a baseline run."""
    return any(
        budget.stage is not None and budget.baseline and match(budget.cell, cell.key)
        for budget in suite.budgets
    )


def suite_file(suite: ResolvedSuite) -> Location:
    """Return the location of a suite's TOML file, for messages."""
    return Location(f"{suite.name}.toml")


def check_budgets(
    suite: ResolvedSuite, cells: Sequence[Cell], file: Location | None = None
) -> None:
    """Raise `ConfigError` for a budget or an expectation that matches no cell of the suite.

    `against` must match exactly one. `cells` are all cells of the suite, even if only some will
    run. Messages begin with `file`, by default the suite's TOML file.
    """
    file = file or suite_file(suite)
    keys = [cell.key for cell in cells]
    for index, budget in enumerate(suite.budgets):
        location = file.key("budgets").item(index)
        if not any(match(budget.cell, key) for key in keys):
            raise _unmatched(location.key("cell"), budget.name, budget.cell, keys)
        if budget.against is None:
            continue
        matching = [key for key in keys if match(budget.against, key)]
        if not matching:
            raise _unmatched(location.key("against"), budget.name, budget.against, keys)
        if len(matching) > 1:
            raise location.key("against").error(
                f"budget '{budget.name}': '{budget.against}' matches {len(matching)} cells where "
                f"one reference is needed: {_some(matching)}"
            )
    for index, expect in enumerate(suite.expect):
        if not any(expects(expect, cell) for cell in cells):
            raise (
                file.key("expect")
                .item(index)
                .error(f"matches no cell of this suite: {_some(keys)}")
            )


def _unmatched(location: Location, budget: str, pattern: str, keys: Sequence[str]) -> ConfigError:
    return location.error(f"budget '{budget}': '{pattern}' matches no cell: {_some(keys)}")


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
