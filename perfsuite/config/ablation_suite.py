"""The suite that measures each cell beside itself with a library turned off or capped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.profile_suite import FULL, single_suite
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.cell import Cell
from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.looks import Looks
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32
from perfsuite.domain.suite import Inspect, Measure, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.libraries.switches import SWITCHES, switch_named, why_not

PREFIX = "ablation-"  # of the suite's name, and so of the folders in which such runs are kept
LOOKS = Looks(first=3, most=8)
MINUTES = 5.0  # of measuring, after the first looks
MEASURE = Measure(calls=4, seconds=0.3, warmup_seconds=1.0, timeout_seconds=1800.0)
INSPECT = Inspect(calls=2, seconds=0.0)  # what is asked of them is what runs, not how long


def ablation_suite(
    workload: WorkloadReference,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str = FP32.name,
    *,
    flags: Collection[str],
    batch: int = 1,
    threads: int | None = None,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
    device: str = PROCESSOR,
    precision: str = FULL,
    switches: Sequence[str] = (),
    minutes: float = MINUTES,
) -> ResolvedSuite:
    """Return the suite of a workload on `runtimes`, whole and with each of the `switches`.

    The other arguments, and the errors, are those of `single_suite` and `with_switches`.
    """
    suite = single_suite(
        workload,
        runtimes,
        recipe,
        batch=batch,
        threads=threads,
        samples=samples,
        shapes=shapes,
        device=device,
        precision=precision,
    )
    name = f"{PREFIX}{next(iter(suite.workloads))}"
    named = msgspec.structs.replace(suite, name=name)
    return with_switches(named, flags=flags, switches=switches, minutes=minutes)


def with_switches(
    suite: ResolvedSuite,
    *,
    flags: Collection[str],
    switches: Sequence[str] = (),
    minutes: float = MINUTES,
) -> ResolvedSuite:
    """Return `suite`, to be measured whole and with each switch that can change anything here.

    `flags` are those of the processor. With `switches` it is these alone. Raises `ConfigError` for
    one that does not exist, changes nothing here, or emulates, and if none is left.
    """
    wholes = cells_of(suite)
    if switches:
        for name in switches:
            _check(name, wholes, flags)
        chosen = tuple(dict.fromkeys(switches))
    else:
        chosen = tuple(name for name in SWITCHES if _tells(name, suite, wholes, flags))
    if not chosen:
        keys = ", ".join(cell.key for cell in wholes)
        raise ConfigError(f"nothing that perfsuite can turn off concerns {keys} on this machine")
    return msgspec.structs.replace(
        suite,
        switches=chosen,
        ablation=True,
        processes=LOOKS.most,
        looks=LOOKS,
        minutes=minutes,
        measure=MEASURE,
        inspect=INSPECT,
        meters=("memory",),
    )


def _check(name: str, wholes: Sequence[Cell], flags: Collection[str]) -> None:
    """Raise `ConfigError` unless a switch that was asked for can be measured on this machine."""
    if switch_named(name).emulator:
        raise ConfigError(
            f"the switch {name} emulates a processor: what is answered then counts, and times say "
            f"nothing"
        )
    reasons = [why_not(name, cell, flags) for cell in wholes]
    if all(reasons):
        raise ConfigError(f"the switch {name} changes nothing here: {reasons[0]}")


def _tells(name: str, suite: ResolvedSuite, wholes: Sequence[Cell], flags: Collection[str]) -> bool:
    """Tell whether a switch that nobody named is worth measuring."""
    switch = SWITCHES[name]
    rounds = any(recipe.passes or recipe.shipped for recipe in suite.recipes)
    given = any(one.endswith(".onnx") for one in suite.workloads.values())  # which may be in INT8
    kinds = {"int8": rounds or given, "bf16": "bf16" in suite.precision}
    if switch.emulator or (switch.only_for and not kinds[switch.only_for]):
        return False
    return any(not why_not(name, cell, flags) for cell in wholes)
