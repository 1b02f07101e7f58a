"""The suite in which INT8 answers here, and as on processors without VNNI."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.profile_suite import single_suite
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.across import Across
from perfsuite.domain.cell import Cell
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.suite import Inspect, Measure, ResolvedSuite
from perfsuite.libraries.places import without_vnni
from perfsuite.libraries.switches import why_not
from perfsuite.libraries.vectors import has_vnni

RUNTIMES = ("openvino", "onnxruntime")
PROCESSES = 6
# An emulated process takes long to answer.
MEASURE = Measure(calls=30, seconds=0.5, timeout_seconds=3600.0)
_PASS = "int8"
LEAST, MOST = 20, 10_000  # samples: of fewer nothing is to be learned
_STEPS = (1, 2, 5)  # a number of samples is one of these times a power of ten


def across_suite(
    workload: WorkloadReference,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str = _PASS,
    *,
    batch: int = 1,
    threads: int | None = None,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
) -> ResolvedSuite:
    """Return the suite of a recipe in 8 bits and of its portable form, on `runtimes`.

    By default these are the ones of perfsuite's own that run graphs in 8 bits. `recipe` is a pass,
    or fp32 for an ONNX file that is INT8 already. Raises `ConfigError` as `single_suite` does.
    """
    suite = single_suite(
        workload,
        runtimes or RUNTIMES,
        recipe,
        batch=batch,
        threads=threads,
        samples=samples,
        shapes=shapes,
    )
    (native,) = suite.recipes
    portable = portable_form(native)
    forms = (native,) if portable is None else (native, portable)
    return msgspec.structs.replace(
        suite,
        name=f"across-{next(iter(suite.workloads))}",
        recipes=forms,
        processes=PROCESSES,
        measure=MEASURE,
        inspect=Inspect(),
        across=Across(native.name, "" if portable is None else portable.name),
    )


def portable_form(recipe: ResolvedRecipe) -> ResolvedRecipe | None:
    """Return the recipe with INT8 in its portable form; None if it has no other one."""
    uses = [
        msgspec.structs.replace(use, fields={**use.fields, "portable": True})
        if use.use == _PASS
        else use
        for use in recipe.passes
    ]
    if tuple(uses) == recipe.passes:
        return None
    return msgspec.structs.replace(recipe, name=f"{recipe.name}-portable", passes=tuple(uses))


def cells_across(suite: ResolvedSuite, flags: Collection[str]) -> tuple[Cell, ...]:
    """Return the cells of the suite, each followed by those that answer as other processors would.

    `flags` are those of the processor here; where it lacks VNNI itself, there are no others.
    """
    found: list[Cell] = []
    for cell in cells_of(suite):
        found.append(cell)
        for name in without_vnni(cell.runtime) if has_vnni(flags) else ():
            there = msgspec.structs.replace(cell, switch=name)
            if not why_not(name, there, flags):
                found.append(there)
    return tuple(found)


def fitting(seconds: Mapping[Cell, float], minutes: float) -> dict[str, int]:
    """Return, by runtime, how many samples all of its cells can answer in both forms in that time.

    `seconds` are those of one sample in each cell of one form. The fastest runtime is first, and
    what it leaves of its part of the time the others have. Numbers are round, so that the answers
    of one run are found again by the next; 0 stands for fewer than `LEAST`.
    """
    each_s: dict[str, float] = {}
    for cell, one in seconds.items():
        each_s[cell.runtime] = each_s.get(cell.runtime, 0.0) + 2.0 * one
    left_s, found = minutes * 60.0, dict[str, int]()
    for place, runtime in enumerate(sorted(each_s, key=each_s.__getitem__)):
        part_s = left_s / (len(each_s) - place)
        found[runtime] = _round_down(part_s / each_s[runtime])
        left_s -= found[runtime] * each_s[runtime]
    return found


def _round_down(most: float) -> int:
    numbers = [step * 10**power for power in range(5) for step in _STEPS]
    return max((one for one in numbers if LEAST <= one <= min(most, MOST)), default=0)
