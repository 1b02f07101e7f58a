"""The cells of a suite, and the globs that select them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import product

import msgspec

from perfsuite.config.conversion import Location
from perfsuite.config.references import held_against, referred, whole_matches
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.suite import Budget, Expect, Require, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.libraries.switches import why_not_for

_SHOWN = 8  # keys in one message


def match(pattern: str, key: str) -> bool:
    """Tell whether a glob matches a whole key, case-sensitively; `*` matches `/` too."""
    return fnmatchcase(key, pattern)


def expects(expect: Expect, cell: Cell) -> bool:
    """Tell whether an expectation is for this cell."""
    return _selects(expect, cell)


def requires(require: Require, cell: Cell) -> bool:
    """Tell whether something is required of this cell: not where it is turned off on purpose."""
    return not cell.switch and _selects(require, cell)


def _selects(one: Expect | Require, cell: Cell) -> bool:
    return (
        match(one.workload, cell.workload)
        and match(one.recipe, cell.recipe)
        and match(one.runtime, cell.runtime)
        and match(one.device, cell.device)
    )


def cells(suite: ResolvedSuite) -> tuple[Cell, ...]:
    """Return every combination of the suite once, the workload varying slowest, the batch fastest.

    What is shipped is a single one. After each come those with the suite's switches. A suite
    without `threads` gets the cores that this process may use.
    """
    threads = suite.threads
    if threads is None:
        from perfsuite.measure.environment import usable_threads

        threads = usable_threads()
    return tuple(
        dict.fromkeys(
            cell
            for workload, recipe in product(suite.workloads, suite.recipes)
            if is_for(recipe.workloads, workload)
            for whole in _of_recipe(suite, workload, recipe, threads)
            for cell in (whole, *_with_switches(whole, suite.switches))
        )
    )


def _with_switches(whole: Cell, switches: Sequence[str]) -> Iterator[Cell]:
    for name in switches:
        if not why_not_for(name, whole):
            yield msgspec.structs.replace(whole, switch=name)


def _of_recipe(
    suite: ResolvedSuite, workload: str, recipe: ResolvedRecipe, threads: int
) -> Iterator[Cell]:
    """Yield the cells of a workload and a recipe: what is shipped is one alone."""
    if (one := recipe.shipped) is not None:
        yield Cell(
            workload, recipe.name, one.runtime, one.device, one.precision, one.batch, threads
        )
        return
    combinations = product(suite.runtimes, suite.devices, suite.precision, suite.batches)
    for runtime, device, precision, batch in combinations:
        if is_for(recipe.runtimes, runtime):
            yield Cell(workload, recipe.name, runtime, device, precision, batch, threads)


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
            held = held_against((budget,), named, cells).values()
            found |= {other for others in held for other in others}
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
    """Raise `ConfigError` for a budget, an expectation or a requirement that matches no cell.

    `against` must name exactly one for each cell. `cells` are all cells of the suite, even if only
    some will run. Messages begin with `file`, by default the suite's TOML file.
    """
    file = file or suite_file(suite)
    keys = [cell.key for cell in cells]
    for index, budget in enumerate(suite.budgets):
        location = file.key("budgets").item(index)
        if not any(match(budget.cell, key) for key in keys):
            raise _unmatched(location.key("cell"), budget.name, budget.cell, keys)
        if budget.against is not None:
            _check_against(budget, budget.against, cells, location.key("against"))
    for index, expect in enumerate(suite.expect):
        if not any(expects(expect, cell) for cell in cells):
            raise (
                file.key("expect")
                .item(index)
                .error(f"matches no cell of this suite: {_some(keys)}")
            )
    for index, require in enumerate(suite.require):
        if not any(requires(require, cell) for cell in cells):
            here = file.key("require").item(index)
            raise here.error(f"matches no cell of this suite: {_some(keys)}")


def _check_against(budget: Budget, against: str, cells: Sequence[Cell], location: Location) -> None:
    """Raise unless `against` names one cell for each that the budget is about."""
    keys = [cell.key for cell in cells]
    named = [cell for cell in cells if match(budget.cell, cell.key)]
    found = {cell: referred(against, cell, cells) for cell in named}
    if not any(found.values()):
        raise _unmatched(location, budget.name, against, keys)
    for cell, others in found.items():
        if len(others) == 1:
            continue
        if not others:
            raise location.error(
                f"budget '{budget.name}': {cell.workload} has no cell '{against}' of a batch of "
                f"{cell.batch}, to hold {cell.key} against; let `cell` name only those that have"
            )
        workloads = dict.fromkeys(other.workload for other in others)
        _, _, rest = others[0].key.partition("/")
        hint = ""
        if len(workloads) > 1:
            recipe, runtime = others[0].recipe, others[0].runtime
            hint = f'; for the cell of the same workload write against = "{recipe}/{runtime}"'
        elif not whole_matches(against, cells):
            hint = f'; write more of it, such as against = "{rest}"'
        raise location.error(
            f"budget '{budget.name}': '{against}' matches {len(others)} cells where one reference "
            f"is needed: {_some([other.key for other in others])}{hint}"
        )


def _unmatched(location: Location, budget: str, pattern: str, keys: Sequence[str]) -> ConfigError:
    return location.error(f"budget '{budget}': '{pattern}' matches no cell: {_some(keys)}")


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
