"""The suite that compresses each layer or stage of a net alone, beside the whole in fp32."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from perfsuite import plugins
from perfsuite.config.checking import make_pass
from perfsuite.config.conversion import Location
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.naming import name_and_reference
from perfsuite.config.profile_suite import single_suite
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.cell import Cell
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.sensitivity import Answer, By, Sensitivity, Unit
from perfsuite.domain.suite import Evaluate, Inspect, Measure, ResolvedSuite
from perfsuite.errors import ConfigError

PREFIX = "sensitivity-"  # of the suite's name, and so of the folders in which such runs are kept
PROCESSES = 5
MEASURE = Measure(calls=30, seconds=0.5, timeout_seconds=1800.0)

# What a pass does to a layer that it alone changes; a pass that is not here has its defaults. None
# trains, because a training would take hours for each layer.
_SETTINGS: dict[str, dict[str, Any]] = {
    "prune": {"ratio": 0.5, "scope": "uniform"},
    "lowrank": {"energy": 0.9},
}
# With training samples, and without.
_TRAINED, _UNTRAINED = {"prune": {"importance": "taylor"}}, {"prune": {"importance": "l2"}}


class AskedSuite(NamedTuple):
    """A suite of one workload on one engine, and the cell of each pass, by which it is asked."""

    suite: ResolvedSuite
    cells: dict[str, Cell]  # by pass, as it was given


def asked_suite(
    workload: WorkloadReference,
    passes: Sequence[str],
    runtime: RuntimeReference,
    *,
    batch: int = 1,
    threads: int | None = None,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
) -> AskedSuite:
    """Return the suite whose recipes are these passes on the whole net; nothing of it is run.

    Raises `ConfigError`, with a suggestion, for names that do not exist.
    """
    suite = single_suite(
        workload, [runtime], batch=batch, threads=threads, samples=samples, shapes=shapes
    )
    recipes = {given: _recipe(given, passes) for given in passes}
    suite = msgspec.structs.replace(suite, recipes=(FP32, *recipes.values()))
    by_recipe = {cell.recipe: cell for cell in cells_of(suite)}
    return AskedSuite(suite, {given: by_recipe[one.name] for given, one in recipes.items()})


def sensitivity_suite(
    asked: AskedSuite, answers: Mapping[str, Answer], by: By, patterns: Sequence[str] = ()
) -> tuple[ResolvedSuite, tuple[Cell, ...]]:
    """Return the suite with a recipe for each layer or stage and each pass, and its cells.

    With `patterns` only layers that one of them names are compressed. Raises `ConfigError`, with a
    suggestion, for one that names none, and if no layer is left.
    """
    _check_patterns(patterns, answers)
    units: list[Unit] = []
    recipes: list[ResolvedRecipe] = [FP32]
    taken = {FP32.name}
    whole = {one.name: one for one in asked.suite.recipes}
    for given, cell in asked.cells.items():
        (use,) = whole[cell.recipe].passes
        answer = answers[given]
        fields = _fields(use.use, trains=answer.trains)
        for name, layers in _parts(answer, by, patterns).items():
            recipe = _unique(f"{cell.recipe}@{_plain(name)}", taken)
            units.append(Unit(name, cell.recipe, recipe, layers))
            limited = PassUse(use.use, {**fields, "layers": list(layers)})
            recipes.append(ResolvedRecipe(recipe, (limited,)))
    if not units:
        raise ConfigError(f"--by {by}: no {by} is left that could be compressed alone")
    validates = all(one.validates for one in answers.values())
    suite = msgspec.structs.replace(
        asked.suite,
        name=f"{PREFIX}{next(iter(asked.suite.workloads))}",
        recipes=tuple(recipes),
        processes=PROCESSES,
        measure=MEASURE,
        inspect=Inspect(),
        evaluate=Evaluate(split="validation"),
        meters=(),
        hold_out=validates and any(one.trains for one in answers.values()),
        sensitivity=Sensitivity(
            by,
            tuple(units),
            {asked.cells[given].recipe: one.changeable.left for given, one in answers.items()},
            validates,
        ),
    )
    return suite, cells_of(suite)


def _recipe(given: str, passes: Sequence[str]) -> ResolvedRecipe:
    from perfsuite.passes.table import PASSES

    place = Location("--pass")
    if passes.count(given) > 1:
        raise ConfigError(f"--pass '{given}' is given twice")
    known = plugins.names("pass", PASSES)
    if ".py:" not in given and given not in known:
        raise ConfigError(f"--pass: unknown pass '{given}'{plugins.suggestion(given, known)}")
    name, reference = name_and_reference(given, Path.cwd(), place)
    use = PassUse(reference, _fields(reference, trains=False))
    make_pass(use, place)
    return ResolvedRecipe(name, (use,))


def _fields(use: str, *, trains: bool) -> dict[str, Any]:
    """Return the fields of a pass; without training samples it does without their gradients."""
    return {**_SETTINGS.get(use, {}), **(_TRAINED if trains else _UNTRAINED).get(use, {})}


def _parts(answer: Answer, by: By, patterns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the layers of each part that is compressed alone, by its name, in the net's order."""
    if by == "layer":
        parts: dict[str, tuple[str, ...]] = {one: (one,) for one in answer.changeable.layers}
    else:
        parts = dict(answer.stages)
    if not patterns:
        return parts
    left = {name: tuple(x for x in ones if _is_named(x, patterns)) for name, ones in parts.items()}
    return {name: layers for name, layers in left.items() if layers}


def _is_named(layer: str, patterns: Sequence[str]) -> bool:
    return any(
        layer == one or fnmatchcase(layer, one) or layer.startswith(f"{one}.") for one in patterns
    )


def _check_patterns(patterns: Sequence[str], answers: Mapping[str, Answer]) -> None:
    known = {
        layer
        for answer in answers.values()
        for ones in ((answer.changeable.layers,), answer.stages.values())
        for layers in ones
        for layer in layers
    }
    for pattern in patterns:
        if not any(_is_named(layer, [pattern]) for layer in known):
            raise ConfigError(
                f"--layers: no layer that could be compressed is '{pattern}'"
                f"{plugins.suggestion(pattern, known)}"
            )


def _plain(name: str) -> str:
    """Return a name of a layer as a part of a cell's key, which no glob misreads."""
    printable = "".join(one if one.isprintable() else "_" for one in name)
    return re.sub(r"[\s/\\*?\[\]]", "_", printable)


def _unique(name: str, taken: set[str]) -> str:
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}-{count}"
    taken.add(found)
    return found
