"""The survey job: what a search must know of a workload, and how long a training of it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.record import Line
from perfsuite.domain.survey import Survey
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import PerfsuiteError, Unavailable, Unsupported
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.pass_samples import PassSamples
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, line_of
from perfsuite.store.cache import Cache, NotCached
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from perfsuite.training.plan import SgdPlan


def survey(job: Job) -> Line:
    """Return the line with what is asked of a cell.

    Of a recipe without passes that is what the workload has. Of one with passes, it is whether all
    that they train is in the cache or, with a plan `job.training`, how long the net that they make
    would be trained by it. No test sample is looked at.
    """
    workload = workload_of(job)
    if not job.recipe.passes:
        found = msgspec.structs.replace(_surveyed(job, workload), boxes=_boxes(job, workload))
    elif job.training:
        found = Survey(training_s=_training_s(job, workload))
    else:
        found = Survey(trained=_is_trained(job, workload))
    return line_of(job, status="ok", survey=found)


def _surveyed(job: Job, workload: Workload) -> Survey:
    task = workload.task
    without = {"validation": _why_not_validated(workload.name, task)}
    metric = next(iter(task.metrics()), "")
    found = Survey(is_file=workload.model.onnx is not None, metric=metric)
    if not found.is_file:  # which nothing trains
        found, without["training"] = _with_training(found, job, workload)
    return msgspec.structs.replace(found, without={k: v for k, v in without.items() if v})


def _with_training(found: Survey, job: Job, workload: Workload) -> tuple[Survey, str]:
    """Return the survey with what there is to train on, and why there is nothing; '' if there is.

    Samples that are held out for validation are not trained on.
    """
    task = workload.task
    try:
        with user_code(f"{workload.name}: its train()"):
            data = task.train()
            places = task.held_out() if job.hold_out else None
    except (Unsupported, Unavailable) as error:
        return found, str(error)
    if places is not None:
        data = data.without(places)
    surveyed = msgspec.structs.replace(
        found,
        training_samples=len(data.inputs),
        own_loss=data.loss is not None,
        taught=data.taught is not None,
    )
    return surveyed, "" if len(data.inputs) else "its train() gives no samples"


def _boxes(job: Job, workload: Workload) -> int:
    """Return from how many boxes a detector chooses; 0 of files, and of a scripted engine."""
    from perfsuite.passes.proposals import boxes_before_nms

    builder = _builder(job, workload, sealed=False)
    if workload.model.build is None or builder.runtime.takes == "nothing":
        return 0
    return boxes_before_nms(builder.build())


class _Asked(Exception):
    """The task has validation samples: it asks the model about them."""


def _why_not_validated(name: str, task: Task) -> str:
    """Return why the task has no validation samples; '' if it has.

    It has some if it asks the model about any: the first question is not answered.
    """
    asked = []

    def predict(inputs: Inputs) -> Outputs:
        asked.append(True)
        raise _Asked

    if not task.metrics():
        return "its task has no labelled samples"
    try:
        with user_code(f"{name}: its validation()"):
            task.validation(predict, None)
    except (Unsupported, Unavailable) as error:
        return "" if asked else str(error)
    except PerfsuiteError:
        if not asked:
            raise
    return ""


def _is_trained(job: Job, workload: Workload) -> bool:
    """Tell whether the net of the recipe is in the cache; a scripted engine needs none."""
    builder = _builder(job, workload, sealed=True)
    if builder.runtime.takes == "nothing":
        return True
    try:
        builder.rebuild()
    except NotCached:
        return False
    return True


def _training_s(job: Job, workload: Workload) -> float:
    """Return the seconds that training the net of the recipe by the job's plan takes."""
    from perfsuite.training.estimate import training_s
    from perfsuite.training.plan import AdamPlan, SgdPlan

    builder = _builder(job, workload, sealed=False)
    if builder.runtime.takes == "nothing":
        return 0.0
    plan: SgdPlan = msgspec.convert(job.training, SgdPlan | AdamPlan)
    data = PassSamples(workload, job, trains=True, singly=str).train()
    teacher = builder.build() if plan.teacher > 0 else None
    return training_s(builder.rebuild(), data, plan, teacher)


def _builder(job: Job, workload: Workload, *, sealed: bool) -> VariantBuilder:
    runtime = artifacts.load_runtime(job.runtime)
    return VariantBuilder(workload, job, steps_of(job, runtime), runtime, Cache(sealed=sealed))
