"""Whether all that a suite mentions exists: names of tables, plug-in files, fields of passes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite import plugins
from perfsuite.config.budget_rules import check_budget
from perfsuite.config.conversion import Location, convert
from perfsuite.config.expansion import cells, match, suite_file
from perfsuite.config.naming import having, suggested
from perfsuite.config.pass_order import PlacedPass, check_order
from perfsuite.config.shipped import check_shipped
from perfsuite.domain.metrics import METRICS, Metric, known_metrics
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED
from perfsuite.domain.recipe import OLD_RUNTIME_FIELD, PassUse, ResolvedRecipe
from perfsuite.domain.suite import DetectionTable, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from perfsuite.domain.recipe import GraphPass, ModelPass

# The tables are imported inside the functions, because judging a stored run needs none of them.


def check(
    suite: ResolvedSuite, file: Location | None = None, inherited: Mapping[str, int] | None = None
) -> None:
    """Raise `ConfigError` for the first thing in the suite that does not exist.

    A user's file is parsed for its workloads and runtimes, and imported only for its passes and
    meters, whose fields and metrics cannot be checked otherwise. `file` is what messages begin
    with, by default the suite's TOML file; `inherited` maps recipes to how many of their passes
    stand in another recipe.
    """
    from perfsuite.runtimes.table import RUNTIMES

    file = file or suite_file(suite)
    inherited = inherited or {}
    _check_workloads(suite, file)
    _check_runtimes(suite, file)
    numbered = list(enumerate(suite.recipes[1:]))  # after `fp32`, which no file can have
    # A mistake is reported in the recipe in which it stands, before those made from that.
    for index, recipe in sorted(numbered, key=lambda one: inherited.get(one[1].name, 0)):
        here = file.key("recipes").item(index)
        _check_patterns(recipe.workloads, suite.workloads, here.key("workloads"), "workload")
        _check_patterns(recipe.runtimes, suite.runtimes, here.key("runtimes"), "runtime")
        if recipe.shipped is not None:
            where = here.key("shipped").key("runtime")
            _check_exists("runtime", recipe.shipped.runtime, RUNTIMES, where)
            check_shipped(recipe, recipe.shipped, suite, here)
            continue  # its passes are not needed any more
        _check_passes(recipe, here.key("passes"), inherited.get(recipe.name, 0))
    known = _checked_meters(suite, file)
    _check_metrics(suite, known, file)
    _check_stages(suite, file)


def _check_patterns(
    patterns: Sequence[str], names: Collection[str], location: Location, kind: str
) -> None:
    """Raise for a pattern that matches none of the suite's names."""
    for at, pattern in enumerate(patterns):
        if not any(match(pattern, name) for name in names):
            raise location.item(at).error(f"no {kind} is '{pattern}'{suggestion(pattern, names)}")


def _check_passes(recipe: ResolvedRecipe, location: Location, inherited: int) -> None:
    """Raise for a pass that cannot be made, names a missing runtime, or stands in a wrong place.

    Preparing a cell would raise for this too, but only after the passes before it were trained. The
    first `inherited` passes are checked with the recipe in which they stand.
    """
    from perfsuite.runtimes.table import RUNTIMES

    placed = []
    for step, use in enumerate(recipe.passes):
        here = location.item(step - inherited)
        made = make_pass(use, here)
        runtime = getattr(made, "runtime", "")
        if runtime:
            key = "runtime" if "runtime" in use.fields else OLD_RUNTIME_FIELD
            _check_exists("runtime", runtime, RUNTIMES, here.key(key))
        placed.append(PlacedPass(use.use, made, here))
    check_order(placed, inherited)


def make_pass(use: PassUse, location: Location | str = "") -> ModelPass | GraphPass:
    """Return the pass as configured.

    A field `engine` is read as `runtime`, whose former name it is. Raises `ConfigError`, beginning
    with `location`, for an unknown pass, unknown fields, and values that the pass refuses.
    """
    from perfsuite.passes.table import PASSES

    here = location if isinstance(location, Location) else Location(location or f"pass '{use.use}'")
    found = _placed(here.key("use"), lambda: plugins.load("pass", use.use, PASSES))
    if not (isinstance(found, type) and issubclass(found, msgspec.Struct)):
        raise here.key("use").error(f"'{use.use}' is no pass: a msgspec.Struct class was expected")
    if not hasattr(found, "apply") and not (hasattr(found, "fit") and hasattr(found, "rebuild")):
        raise here.key("use").error(
            f"'{use.use}' is no pass: it has neither apply nor fit, rebuild"
        )
    fields = _with_runtime(use.fields, found.__struct_fields__, here)
    with user_code(f"{here}: making '{use.use}'", ConfigError):
        made: Any = convert(fields, found, here)
    return made  # type: ignore[no-any-return]


def _with_runtime(
    fields: dict[str, Any], known: Collection[str], location: Location
) -> dict[str, Any]:
    """Return the fields of a pass with `engine` renamed to `runtime`, if it has only the latter."""
    if OLD_RUNTIME_FIELD not in fields or OLD_RUNTIME_FIELD in known or "runtime" not in known:
        return fields
    if "runtime" in fields:
        raise location.key(OLD_RUNTIME_FIELD).error(
            "this is the former name of `runtime`, which is given too; leave it out"
        )
    return {"runtime" if key == OLD_RUNTIME_FIELD else key: it for key, it in fields.items()}


def _check_workloads(suite: ResolvedSuite, file: Location) -> None:
    from perfsuite.workloads.table import check_workload_exists

    location = file.key("workloads")
    for index, reference in enumerate(suite.workloads.values()):
        if reference.endswith(".onnx"):
            if not Path(reference).is_file():
                raise location.item(index).error(f"there is no file {reference}")
        else:
            _placed(location.item(index), partial(check_workload_exists, reference))
    models = [name for name, given in suite.workloads.items() if given.endswith(".onnx")]
    for name, samples in suite.samples.items():
        here = file.key("samples").key(name)
        if name not in models:
            raise here.error(f"no ONNX workload has this name{suggestion(name, models)}")
        if not Path(samples).is_file():
            raise here.error(f"there is no file {samples}")
    for name in suite.shapes:
        if name not in models:
            here = file.key("shapes").key(name)
            raise here.error(f"no ONNX workload has this name{suggestion(name, models)}")
    for name, table in suite.detection.items():
        here = file.key("detection").key(name)
        if name not in models:
            raise here.error(f"no ONNX workload has this name{suggestion(name, models)}")
        if name in suite.samples:
            raise here.error("it has samples, too; a detector is judged by one of both")
        _check_detection(table, here)


def _check_detection(table: DetectionTable, here: Location) -> None:
    from perfsuite.workloads.tasks.layouts import LAYOUTS

    if table.layout not in LAYOUTS:
        raise here.key("layout").error(f"unknown layout{suggestion(table.layout, LAYOUTS)}")
    coco = table.annotations.endswith(".json")
    if not (Path(table.annotations).is_file() if coco else Path(table.annotations).is_dir()):
        raise here.key("annotations").error(
            f"there is no {'file' if coco else 'folder'} {table.annotations}; a COCO file ends "
            f"with .json, and a folder has the layout of Pascal VOC"
        )
    if coco and not Path(table.pictures or "?").is_dir():
        raise here.key("pictures").error(
            f"the folder of the pictures that {Path(table.annotations).name} lists was expected"
            + (f"; there is no folder {table.pictures}" if table.pictures else "")
        )


def _check_runtimes(suite: ResolvedSuite, file: Location) -> None:
    from perfsuite.runtimes.table import RUNTIMES

    for index, name in enumerate(suite.runtimes):
        location = file.key("runtimes").item(index)
        _check_exists("runtime", suite.runtime(name), RUNTIMES, location)
        if name in suite.runtime_files and name in RUNTIMES:
            raise location.error(f"'{name}' is a runtime of perfsuite already; rename yours")
    if not set(suite.runtimes) <= set(RUNTIMES):
        return  # the devices and precisions of a plug-in are known only when it is imported
    engines: list[Any] = [RUNTIMES[name]() for name in suite.runtimes]
    for key, attribute in (("devices", "devices"), ("precision", "precisions")):
        known = {word for engine in engines for word in getattr(engine, attribute)}
        for index, word in enumerate(getattr(suite, key)):
            if word not in known:
                told = suggested(word, known, having(word, attribute, RUNTIMES))
                raise (
                    file.key(key).item(index).error(f"no runtime of this suite has '{word}'{told}")
                )


def _checked_meters(suite: ResolvedSuite, file: Location) -> dict[str, Metric]:
    """Return the measured metrics, by name; raise for invalid meters, and for two of one metric.

    It also raises for a budget on a metric that no meter of the suite measures.
    """
    from perfsuite.measure.meters.table import METERS, definitions

    for index, reference in enumerate(suite.meters):
        location = file.key("meters").item(index)
        _check_exists("meter", reference, METERS, location)
        _placed(location, partial(definitions, (reference,)))
    known = known_metrics(_placed(file.key("meters"), lambda: definitions(suite.meters)))
    for index, budget in enumerate(suite.budgets):
        if budget.metric not in METRICS:
            check_budget(budget, suite.measure, known, file.key("budgets").item(index))
    return known


def _check_metrics(suite: ResolvedSuite, measured: Mapping[str, Metric], file: Location) -> None:
    """Raise for a budget on an accuracy that none of its workloads has.

    Only workloads of the table are checked, because making one loads neither data nor torch.
    """
    from perfsuite.workloads.table import WORKLOADS

    for index, budget in enumerate(suite.budgets):
        if budget.metric in measured:
            continue
        named = {cell.workload for cell in cells(suite) if match(budget.cell, cell.key)}
        references = {suite.workloads[name] for name in named}
        if not references or not references <= WORKLOADS.keys():
            continue  # without cells `check_budgets` raises; a user's workload must not be run here
        known = {metric for one in references for metric in WORKLOADS[one]().task.metrics()}
        if budget.metric not in known:
            location = file.key("budgets").item(index).key("metric")
            every = {*known, *measured}
            raise location.error(
                f"no workload of this budget has '{budget.metric}'"
                f"{suggestion(budget.metric, every)}"
            )


def _check_stages(suite: ResolvedSuite, file: Location) -> None:
    """Raise for a budget on a stage that none of its workloads has.

    Only workloads of the table that declare their stages are checked, and only while they are what
    is run: a student has stages of its own.
    """
    from perfsuite.workloads.table import WORKLOADS

    recipes = {recipe.name: recipe for recipe in suite.recipes}
    for index, budget in enumerate(suite.budgets):
        if budget.stage is None:
            continue
        named = [cell for cell in cells(suite) if match(budget.cell, cell.key)]
        references = {suite.workloads[cell.workload] for cell in named}
        if not references or not references <= WORKLOADS.keys():
            continue
        if any(_replaces(recipes[name]) for name in {cell.recipe for cell in named}):
            continue
        declared = [WORKLOADS[one]().model.stages for one in sorted(references)]
        known = {OVERHEAD, UNATTRIBUTED, *(stage.name for stages in declared for stage in stages)}
        if all(declared) and budget.stage not in known:
            location = file.key("budgets").item(index).key("stage")
            raise location.error(
                f"no workload of this budget has '{budget.stage}'{suggestion(budget.stage, known)}"
            )


def _replaces(recipe: ResolvedRecipe) -> bool:
    """Tell whether a pass of the recipe puts another model in the model's place."""
    return any(getattr(make_pass(use), "replaces", False) for use in recipe.passes)


def _check_exists(kind: str, reference: str, table: Mapping[str, Any], location: Location) -> None:
    _placed(location, lambda: plugins.check_exists(kind, reference, table))


def _placed(location: Location, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except ConfigError as error:
        raise location.error(str(error)) from error.__cause__
