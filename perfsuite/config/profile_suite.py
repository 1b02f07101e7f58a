"""The suite of one workload and one recipe, for the command `profile`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfsuite import plugins
from perfsuite.config.checking import make_pass
from perfsuite.config.conversion import Location
from perfsuite.config.naming import having, name_and_reference, suggested
from perfsuite.config.object_references import reference_of
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.config.shapes import shapes_of
from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Inspect, Measure, ResolvedSuite
from perfsuite.errors import ConfigError

# One process for each cell is enough, as nothing is judged.
# Engines that are profiled only if they are named: one runs no model at all, one binary nets alone,
# the others are PyTorch again, otherwise called.
_UNASKED = (
    "fake",
    "perfsuite-binary",
    "pytorch-channels-last",
    "pytorch-cuda-graphs",
    "torch-compile",
)
FULL = "fp32"
PROCESSES = 1
MEASURE = Measure(calls=10, timeout_seconds=1800.0)
INSPECT = Inspect(calls=10, seconds=2.0, roofline=True)


def single_suite(
    workload: WorkloadReference,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str = FP32.name,
    *,
    batch: int = 1,
    threads: int | None = None,
    picture: Path | None = None,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
    device: str = PROCESSOR,
    precision: str = FULL,
) -> ResolvedSuite:
    """Return the suite of `workload` on `runtimes`, by default on all that have the device.

    Paths are relative to the working folder. `recipe` is fp32, or a pass with its defaults: one
    that needs a goal has that of its `profiled_with`, which the recipe's name then tells. Raises
    `ConfigError`, with a suggestion, for names that do not exist, for a device or a precision that
    none of the engines has, and for samples and shapes of a workload that is no ONNX file.
    """
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.workloads.table import WORKLOADS, check_no_module, check_workload_exists

    here = Path.cwd()
    place = Location("WORKLOAD")
    check_no_module(workload, str(place))
    given = reference_of("workload", workload, WORKLOADS, place)
    name, reference = name_and_reference(given, here, place)
    if reference.endswith(".onnx"):
        if not Path(reference).is_file():
            raise ConfigError(f"there is no file {reference}")
        if samples is not None and not samples.is_file():
            raise ConfigError(f"--samples: there is no file {samples}")
    else:
        check_workload_exists(reference)
        for option, value in (("--samples", samples), ("--shape", shapes)):
            if value:
                raise ConfigError(
                    f"{option} is for ONNX files; the task of '{name}' says what its inputs are"
                )
    engines = _engines(runtimes, here, RUNTIMES, device)
    _check_offered("--device", device, "devices", engines or RUNTIMES, RUNTIMES)
    _check_offered("--precision", precision, "precisions", engines, RUNTIMES)
    chosen = _recipe(recipe, here)
    return ResolvedSuite(
        name=f"profile-{name}",
        workloads={name: reference},
        runtimes=tuple(engines),
        recipes=(chosen,),
        devices=(device,),
        precision=(precision,),
        batches=(batch,),
        threads=threads,
        processes=PROCESSES,
        measure=MEASURE,
        inspect=INSPECT,
        picture=str(picture.resolve()) if picture else "",
        samples={name: str(samples.resolve())} if samples else {},
        shapes={name: shapes_of(shapes, Location("--shape"))} if shapes else {},
        runtime_files={name: given for name, given in engines.items() if name != given},
    )


def _engines(
    given: Sequence[RuntimeReference], folder: Path, table: Mapping[str, Any], device: str
) -> dict[str, str]:
    if not given:
        asked = (name for name in table if name not in _UNASKED)
        return {name: name for name in asked if device in table[name]().devices}
    engines: dict[str, str] = {}
    for one in given:
        place = Location("--runtime")
        name, reference = name_and_reference(
            reference_of("runtime", one, table, place), folder, place
        )
        plugins.check_exists("runtime", reference, table)
        if name in engines:
            raise ConfigError(f"--runtime '{name}' is given twice")
        engines[name] = reference
    return engines


def _check_offered(
    option: str, word: str, attribute: str, engines: Iterable[str], table: Mapping[str, Any]
) -> None:
    """Raise `ConfigError` for a device or a precision that none of the engines has.

    Those of a plug-in are known only when it is imported.
    """
    if not set(engines) <= set(table):
        return
    known = sorted({one for name in engines for one in getattr(table[name](), attribute)})
    if word not in known:
        told = suggested(word, known, having(word, attribute, table))
        raise ConfigError(
            f"{option}: no engine that was asked for has '{word}'{told} "
            f"(they have {', '.join(known)})"
        )


def _recipe(given: str, folder: Path) -> ResolvedRecipe:
    from perfsuite.passes.table import PASSES

    if given == FP32.name:
        return FP32
    known = [FP32.name, *plugins.names("pass", PASSES)]
    if ".py:" not in given and given not in known:
        raise ConfigError(
            f"unknown recipe '{given}'{plugins.suggestion(given, known)} (fp32, or a pass, which "
            f"then has its defaults)"
        )
    name, reference = name_and_reference(given, folder, Location("--recipe"))
    fields = _goal(reference)
    name = "-".join([name, *(f"{key}-{value}" for key, value in fields.items())])
    use = PassUse(reference, fields)
    try:
        make_pass(use, "--recipe")
    except ConfigError as error:
        if given not in known:
            raise
        raise ConfigError(
            f"{error} (here a pass has its defaults; a suite gives it fields, and the report of "
            f"its run says where the time goes)"
        ) from error
    return ResolvedRecipe(name, (use,))


def _goal(reference: str) -> dict[str, Any]:
    """Return the fields that a pass of perfsuite's own wants to be profiled with, if any."""
    from perfsuite.passes.table import PASSES

    if reference not in PASSES:
        return {}
    return dict(getattr(PASSES[reference](), "profiled_with", {}))
