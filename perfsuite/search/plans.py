"""What a phase runs, as it is decided and stored."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.optimum import Why
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.search.ways import Way

Asked = tuple[str, ResolvedRecipe, Way]  # a row's name, '' for the net as it is; a recipe; a way


class Trial(msgspec.Struct, frozen=True):
    """One candidate of a phase: its line of the table, '' for the net as it is, and its cell."""

    row: str
    way: Way
    cell: Cell


class PhasePlan(msgspec.Struct, frozen=True):
    """The suite of a phase and its trials; no test or validation sample without `evaluate`."""

    suite: ResolvedSuite
    trials: tuple[Trial, ...]
    evaluate: bool


class Left(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a row was not tried or not trained; `needed_s` is what its training takes at least."""

    why: Why
    detail: str = ""
    needed_s: float | None = None


def phase_plan(
    base: ResolvedSuite,
    reference: Cell,
    asked: Iterable[Asked],
    *,
    evaluate: bool,
) -> PhasePlan:
    """Return the plan of a phase that tries these rows, each by a recipe in one way."""
    trials: list[Trial] = []
    recipes = {FP32.name: FP32}
    for row, recipe, way in asked:
        cell = msgspec.structs.replace(
            reference, recipe=recipe.name, runtime=way.runtime, precision=way.precision
        )
        if cell != reference:
            recipes[recipe.name] = recipe
            trials.append(Trial(row, way, cell))
    precisions = dict.fromkeys([reference.precision, *(one.way.precision for one in trials)])
    suite = msgspec.structs.replace(
        base, recipes=tuple(recipes.values()), precision=tuple(precisions)
    )
    return PhasePlan(suite, tuple(trials), evaluate)
