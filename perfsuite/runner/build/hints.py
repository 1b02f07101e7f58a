"""What a workload's author can do about a failure, found out only after it."""

from __future__ import annotations

from perfsuite.data.labels import misfit
from perfsuite.domain.task import TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.runner.build.reference import module_outputs

_USUAL, _OTHERS = (1, 2), (4, 8)  # batch sizes that are tried; of these, if neither of those works


def training_set(workload: Workload) -> TrainingSet:
    """Return the task's training set; raise `ConfigError` if its labels are no classes.

    Those of a task with a loss of its own are its own affair, as are those of a model of several
    outputs, which wants such a loss.
    """
    data, build = workload.task.train(), workload.model.build
    if data.loss is None and build is not None:
        outputs = module_outputs(build().eval(), workload.task.inputs(workload.model.batch or 1, 0))
        told = misfit(data.targets, outputs[0].shape) if len(outputs) == 1 else ""
        if told:
            raise ConfigError(f"{workload.name}: the targets of its training set: {told}")
    return data


def with_batch_hint(workload: Workload, error: PerfsuiteError) -> PerfsuiteError:
    """Return `error`, with what to declare if it is that the module takes one batch size alone."""
    if workload.model.build is None or workload.model.batch is not None:
        return error
    try:
        module = workload.model.build().eval()
    except PerfsuiteError:
        return error  # which says so

    def takes(size: int) -> bool:
        try:
            return bool(module_outputs(module, workload.task.inputs(size, 0)))
        except (PerfsuiteError, MemoryError):
            return False

    taken = list(filter(takes, _USUAL)) or list(filter(takes, _OTHERS))
    if len(taken) != 1:
        return error
    return type(error)(
        f"{error}; of several batch sizes that were tried the model takes {taken[0]} alone: if "
        f"that is meant, declare it, Model(build, batch={taken[0]}), and ask for "
        f"batches = [{taken[0]}]"
    )
