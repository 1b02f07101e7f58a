"""The suite that certifies a machine: cells beside themselves, slowed down by known shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.expansion import expects
from perfsuite.config.loading import load_suite
from perfsuite.config.python_suite import Suite
from perfsuite.config.run_plan import RunPlan
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError

EFFECTS = (0.0, 0.03, 0.05, 0.1)
ROUNDS, QUICK_ROUNDS = 30, 12
PREFIX = "certify-"  # of the suite's name, and so of the folders in which such runs are kept

# Small nets, for which nothing is downloaded; eager PyTorch takes as long to start as the others
# take in all.
_WORKLOAD = "vgg-digits"
_BATCH = 16  # so that a call takes longer than what Python does around it
_RUNTIMES, _QUICK_RUNTIMES = ("onnxruntime", "openvino", "pytorch"), ("onnxruntime", "openvino")
BUILT_IN = "built-in"


class CertifySuite(NamedTuple):
    """The suite to run, its cells, and the name of the suite that they are of."""

    suite: ResolvedSuite
    cells: tuple[Cell, ...]
    name: str


def certify_suite(given: Path | Suite | None, *, quick: bool = False) -> CertifySuite:
    """Return the suite that measures each cell of the `given` one beside its slowed-down selves.

    Cells that are expected not to run are left out. Without a suite it is a built-in one of small
    nets. Raises `ConfigError` as `load_suite` does, and if no cell is left.
    """
    if given is None:
        runtimes = _QUICK_RUNTIMES if quick else _RUNTIMES
        suite = ResolvedSuite(
            BUILT_IN, {_WORKLOAD: _WORKLOAD}, runtimes, (FP32,), batches=(_BATCH,)
        )
        cells = cells_of(suite)
    else:
        suite, cells, _ = load_suite(given)
    able = [cell for cell in cells if not any(expects(one, cell) for one in suite.expect)]
    if not able:
        raise ConfigError(f"{suite.name}: every cell is expected not to run: nothing to certify")
    slowed = msgspec.structs.replace(
        suite,
        name=f"{PREFIX}{suite.name}",
        recipes=tuple(one for recipe in suite.recipes for one in (recipe, *_slowed(recipe))),
        processes=QUICK_ROUNDS if quick else ROUNDS,
        looks=None,
        minutes=None,
        budgets=(),
        expect=(),
        require=(),  # nothing is inspected
        meters=(),
    )
    recipes = {recipe.name: recipe for recipe in suite.recipes}
    # A cell and what it is compared with take turns one after the other, as in a run beside a
    # baseline.
    beside = tuple(
        msgspec.structs.replace(cell, recipe=one.name)
        for cell in able
        for one in (recipes[cell.recipe], *_slowed(recipes[cell.recipe]))
    )
    return CertifySuite(slowed, beside, suite.name)


def _slowed(recipe: ResolvedRecipe) -> list[ResolvedRecipe]:
    """Return the recipe under other names, such as `fp32+5%`, slowed down; the first is not."""
    return [
        msgspec.structs.replace(recipe, name=f"{recipe.name}+{effect:.0%}", slowdown=effect)
        for effect in EFFECTS
    ]


def only_measured(planned: RunPlan, cells: Sequence[Cell]) -> RunPlan:
    """Return a plan without what certifying does not do: nothing is evaluated or inspected.

    `cells` are those of `certify_suite`. What is slowed down is built already.
    """
    built = {cell.key for cell in cells[:: len(EFFECTS) + 1]}
    return msgspec.structs.replace(
        planned,
        jobs=tuple(
            job
            for job in planned.jobs
            if job.kind == "measure" or (job.kind == "prepare" and job.cell in built)
        ),
    )
