"""The training of a net that a pass has made, with the original net as its teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.training.device import placed, training_device
from perfsuite.training.estimate import in_words, training_s
from perfsuite.training.loop import SgdPlan, TrainingProgress, train
from perfsuite.training.teaching import Teaching

if TYPE_CHECKING:
    from torch import nn


def fine_tune(
    module: nn.Module,
    data: TrainingSet,
    plan: SgdPlan,
    *,
    teacher: nn.Module | None = None,
    teaching: Teaching | None = None,
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Train `module` in place by `plan`, as `train` does, and leave it in evaluation mode.

    If `plan.teacher` is above 0, it is the weight in the loss of `teacher`'s answers to the same
    pictures (see `classifying`); for a task with a loss of its own, the loss is its `taught`. The
    teacher's weights do not change; it is left in evaluation mode and is not part of the
    checkpoint.

    It is trained on the device of `training_device`, and is on the processor before and after.

    `say` is told how long the training takes, before it begins; one that goes on from its
    checkpoint is told by its progress.

    Raises `ConfigError` if the plan wants a teacher and the task has a loss of its own without
    saying what a teacher's answers count in it, or `teaching` is given for such a task, and what
    `train` raises.
    """
    if plan.teacher > 0 and data.loss is not None and data.taught is None:
        raise ConfigError(
            "teacher: this task has a loss of its own; leave teacher out (teacher = 0.0), or let "
            "the task say how a teacher's answers count in it (TrainingSet.taught)"
        )
    if data.loss is not None and teaching not in (None, Teaching()):
        raise ConfigError(
            "kind, temperature, alpha and beta compare the scores of classifiers; this task has a "
            "loss of its own: leave them out"
        )
    taught_by = teacher if plan.teacher > 0 else None
    device = training_device()
    with placed(device, module, taught_by):
        if say is not None and not (checkpoint is not None and checkpoint.exists()):
            seconds = training_s(module, data, plan, taught_by, teaching)
            where = "" if device == "cpu" else f" on {device}"
            say(f"training takes about {in_words(seconds)}{where}")
        train(
            module,
            data,
            plan,
            teacher=taught_by,
            teaching=teaching,
            checkpoint=checkpoint,
            report=report,
        )
