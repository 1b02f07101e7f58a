"""Which layers of a workload a pass can change one by one: asked before a run's cells are known."""

from __future__ import annotations

from typing import Any

from perfsuite.config.refusals import needs_module
from perfsuite.domain.record import Line
from perfsuite.domain.runtime import Runtime
from perfsuite.domain.sensitivity import Answer, Changeable
from perfsuite.domain.task import Inputs, Outputs, Task, gives_samples
from perfsuite.domain.workload import Workload
from perfsuite.errors import PerfsuiteError, Unsupported
from perfsuite.export.normalize import module_path
from perfsuite.measure.stages import stages_of
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.steps import Step, steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.jobs.possible import check_batch, check_supported
from perfsuite.store.cache import Cache
from perfsuite.user_code import require_type, user_code


def layers(job: Job) -> Line:
    """Return the line that answers which layers the recipe's only pass can change, by stage.

    Raises `Unsupported` for a pass that cannot be limited to layers, and what the pass raises for a
    model that it is not for.
    """
    runtime = artifacts.load_runtime(job.runtime)
    check_supported(runtime, job)
    (step,) = steps_of(job, runtime)
    workload = workload_of(job)
    check_batch(workload, job)
    _check_limited(step)
    if runtime.takes == "nothing":
        found = Changeable(())
        by_stage = {stage.name: stage.modules for stage in workload.model.stages}
    else:
        found = _changeable(job, step, workload, runtime)
        by_stage = _by_stage(workload, found.layers)
    trains = not step.is_graph and gives_samples(workload.task.train)
    answer = Answer(found, by_stage, trains, _validates(workload.task))
    return line_of(job, status="ok", answer=answer)


def _check_limited(step: Step) -> None:
    if not (hasattr(step.pass_, "layers") and hasattr(step.pass_, "changeable")):
        raise Unsupported(
            f"{step.use.use}: it cannot be limited to single layers: give it a field `layers`, and "
            f"a method `changeable(model, ctx)` that returns which there are, as a "
            f"perfsuite.Changeable"
        )


def _changeable(job: Job, step: Step, workload: Workload, runtime: Runtime) -> Changeable:
    cache = Cache()
    builder = VariantBuilder(workload, job, [step], runtime, cache)
    step.resolved(builder.target(step))  # before anything is built for it
    plain = VariantBuilder(workload, job, [], runtime, cache)
    model: Any
    if step.is_graph:
        from perfsuite.export.onnx import load_graph

        variant, key = plain.variant()
        if variant.graph is None:
            raise Unsupported(
                f"{step.use.use} on {workload.name}: it needs the graph of the whole model, which "
                f"runs in pieces on {runtime.name}"
            )
        model = load_graph(variant.graph)
    else:
        key = plain.model_key
        if workload.model.onnx is not None:
            raise Unsupported(needs_module(step.use.use, workload.name))
        model = plain.rebuild()
    whose = f"{step.use.use}: its changeable()"
    with user_code(whose):
        found = step.pass_.changeable(model, builder.context(step, key))
    found = require_type(found, Changeable, whose, "a perfsuite.Changeable")
    if not found.layers:
        raise Unsupported(
            f"{step.use.use} on {workload.name}: there is no layer that it could change"
        )
    return found


def _by_stage(workload: Workload, found: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the layers of each stage, or of each module where none are declared."""
    paths = {layer: module_path(layer) or layer for layer in found}  # of a node's name, its module
    stages = stages_of(paths.values(), workload.model.stages)
    by_stage: dict[str, tuple[str, ...]] = {}
    for layer, path in paths.items():
        by_stage[stages[path]] = (*by_stage.get(stages[path], ()), layer)
    return by_stage


def _validates(task: Task) -> bool:
    """Tell whether the task has a metric and validation samples, about which it asks a model."""
    asked: list[Inputs] = []

    def predict(inputs: Inputs) -> Outputs:
        asked.append(inputs)
        raise Unsupported("nothing answers here")

    if not task.metrics():
        return False
    try:
        task.validation(predict)
    except PerfsuiteError as error:
        if not asked and not isinstance(error, Unsupported):
            raise
    return bool(asked)
