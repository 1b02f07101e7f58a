"""Fine-tune a net that a pass has changed, with the answers of the net that it came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.training.loop import SgdPlan, TrainingProgress, train

if TYPE_CHECKING:
    from torch import nn


def fine_tune(
    module: nn.Module,
    data: TrainingSet,
    plan: SgdPlan,
    *,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] | None = None,
) -> None:
    """Train `module` in place by `plan`, as `train` does, and leave it in evaluation mode.

    Where `plan.teacher` is above 0, it is the weight of `teacher`'s answers to the same pictures in
    the loss (see `classifying`); else there is no need of a teacher. The teacher keeps its weights
    and is left in evaluation mode; it is no part of the checkpoint.

    Raises `ConfigError` where the plan wants a teacher and the task has a loss of its own: what a
    net answers there, and what of it could be taught, that loss alone knows. Else raises what
    `train` raises.
    """
    if plan.teacher > 0 and data.loss is not None:
        raise ConfigError("teacher: this task has a loss of its own; leave teacher out")
    taught_by = teacher if plan.teacher > 0 else None
    train(module, data, plan, teacher=taught_by, checkpoint=checkpoint, report=report)
