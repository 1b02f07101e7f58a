"""The suite of the command `doctor`: one workload, looked at and not measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from perfsuite.config.profile_suite import FULL, single_suite
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Inspect, ResolvedSuite

# A net that comes with its weights and its data: what was built of it once is found in the cache
# without loading torch.
PROBE = "vgg-digits"
PROBE_BATCH = 16  # a single picture of 8 x 8 is too small for the kernels of larger nets
# An engine that has not answered for so long on a small net hangs.
PROBE_TIMEOUT_S = 300.0
# Which kernels run shows in the first calls; how long they take is nobody's question here.
INSPECT = Inspect(calls=2, seconds=0.0)


def doctor_suite(
    workload: WorkloadReference | None = None,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str | None = None,
    *,
    batch: int | None = None,
    threads: int | None = None,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
    device: str = PROCESSOR,
    precision: str = FULL,
) -> ResolvedSuite:
    """Return the suite of `workload` on `runtimes`, by default on all, in which nothing is timed.

    Without a workload it is a small net of perfsuite's own, by default in fp32 and, where engines
    take graphs, in INT8. Raises `ConfigError` as `single_suite` does.
    """
    if batch is None:
        batch = PROBE_BATCH if workload is None else 1
    suite = single_suite(
        PROBE if workload is None else workload,
        runtimes,
        FP32.name if recipe is None else recipe,
        batch=batch,
        threads=threads,
        samples=samples,
        shapes=shapes,
        device=device,
        precision=precision,
    )
    recipes = suite.recipes
    if workload is None and recipe is None and (able := _with_graphs(suite)):
        recipes = (*recipes, ResolvedRecipe("int8", (PassUse("int8"),), runtimes=able))
    name = "doctor" if workload is None else f"doctor-{next(iter(suite.workloads))}"
    if workload is None:
        measure = msgspec.structs.replace(suite.measure, timeout_seconds=PROBE_TIMEOUT_S)
        suite = msgspec.structs.replace(suite, measure=measure)
    return msgspec.structs.replace(
        suite, name=name, recipes=recipes, processes=0, inspect=INSPECT, meters=()
    )


def _with_graphs(suite: ResolvedSuite) -> tuple[str, ...]:
    """Return the runtimes that do not take the module, as far as it is known before they load."""
    from perfsuite.runtimes.table import RUNTIMES

    return tuple(
        name
        for name in suite.runtimes
        if name not in RUNTIMES or RUNTIMES[name]().takes != "module"
    )
