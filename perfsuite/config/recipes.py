"""The recipes of a suite, each with all its passes, inherited ones included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.config.conversion import Location
from perfsuite.config.naming import absolute, check_name
from perfsuite.config.suite_table import RecipeTable
from perfsuite.domain.recipe import (
    FP32,
    OLD_RUNTIME_FIELD,
    STUDENT_FIELD,
    PassUse,
    ResolvedRecipe,
    Shipped,
)
from perfsuite.plugins import suggestion


def resolved_recipes(
    tables: Sequence[RecipeTable], folder: Path, location: Location
) -> tuple[ResolvedRecipe, ...]:
    """Return `fp32` and the recipes of the tables, in their order.

    A recipe that is made `from` another has that one's passes before its own, and its workloads and
    runtimes unless it has its own. `location` is that of the array.
    """
    _check_names(tables, location)
    places = {table.name: location.item(index) for index, table in enumerate(tables)}
    uses = {
        table.name: tuple(
            _pass_use(fields, folder, places[table.name].key("passes").item(step))
            for step, fields in enumerate(table.passes)
        )
        for table in tables
    }
    recipes = [FP32]
    for table in tables:
        lineage = _lineage(table, tables, places)
        passes = tuple(use for one in reversed(lineage) for use in uses[one.name])
        workloads = next((one.workloads for one in lineage if one.workloads is not None), ())
        runtimes = next((one.runtimes for one in lineage if one.runtimes is not None), ())
        shipped = _shipped(table, folder, places[table.name])
        recipes.append(ResolvedRecipe(table.name, passes, workloads, runtimes, shipped=shipped))
    return tuple(recipes)


def _shipped(table: RecipeTable, folder: Path, location: Location) -> Shipped | None:
    """Return what a recipe runs as it is, its path absolute; None for one that is built.

    Raises `ConfigError` for a recipe that has neither that nor passes, and for keys that say how to
    build what is shipped.
    """
    if table.shipped is None:
        if not table.passes:
            raise location.error("missing key `passes`")
        return None
    for key, given in (("from", table.base), ("runtimes", table.runtimes)):
        if given is not None:
            raise location.key(key).error(
                "this is for recipes that are built; what is shipped is made already, for the "
                "runtime that it says itself: leave it out"
            )
    here = location.key("shipped")
    for key in ("runtime", "device", "precision"):
        check_name(getattr(table.shipped, key), here.key(key))
    artifact = str((folder / table.shipped.artifact).resolve())
    return msgspec.structs.replace(table.shipped, artifact=artifact)


def _check_names(tables: Sequence[RecipeTable], location: Location) -> None:
    seen = set()
    for index, table in enumerate(tables):
        here = location.item(index).key("name")
        check_name(table.name, here)
        if table.name == FP32.name:
            raise here.error(
                "'fp32' is the recipe without passes and always there; choose another name"
            )
        if table.name in seen:
            raise here.error(f"a second recipe '{table.name}'; choose another name")
        seen.add(table.name)


def _lineage(
    table: RecipeTable, tables: Sequence[RecipeTable], places: Mapping[str, Location]
) -> list[RecipeTable]:
    """Return the recipe, followed by the one that it is made from, the one behind that, and so on.

    Raises `ConfigError` for a missing recipe, and for a recipe that is made from itself.
    """
    known = {one.name: one for one in tables}
    lineage = [table]
    while (base := lineage[-1].base) not in (None, FP32.name):
        here = places[lineage[-1].name].key("from")
        if base not in known:
            raise here.error(f"there is no recipe '{base}'{suggestion(base, [FP32.name, *known])}")
        if known[base].shipped is not None:
            raise here.error(
                f"'{base}' is shipped: there is no model from which another could be made; repeat "
                f"its passes"
            )
        if known[base] in lineage:
            round_trip = " from ".join(f"'{name}'" for name in [*(o.name for o in lineage), base])
            raise here.error(f"{round_trip}: no recipe can be made from itself; remove one `from`")
        lineage.append(known[base])
    return lineage


def _pass_use(table: dict[str, Any], folder: Path, location: Location) -> PassUse:
    if "use" not in table:
        raise location.error("missing key `use`, the name of the pass or file.py:Name")
    use = table["use"]
    if not isinstance(use, str) or not use:
        raise location.key("use").error("a pass is named by a string, such as 'int8'")
    fields = {key: value for key, value in table.items() if key != "use"}
    for key in ("runtime", OLD_RUNTIME_FIELD, STUDENT_FIELD):
        if isinstance(fields.get(key), str):
            fields[key] = absolute(fields[key], folder, location.key(key))
    return PassUse(absolute(use, folder, location.key("use")), fields)
