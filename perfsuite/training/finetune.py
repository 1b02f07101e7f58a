"""Fine-tuning of a net that a pass has changed, with the original net as its teacher."""

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

    If `plan.teacher` is above 0, it is the weight in the loss of `teacher`'s answers to the same
    pictures (see `classifying`). The teacher's weights do not change; it is left in evaluation mode
    and is not part of the checkpoint.

    Raises `ConfigError` if the plan wants a teacher and the task has a loss of its own, for which
    it is not known how a teacher's answers would count, and what `train` raises.
    """
    if plan.teacher > 0 and data.loss is not None:
        raise ConfigError("teacher: this task has a loss of its own; leave teacher out")
    taught_by = teacher if plan.teacher > 0 else None
    train(module, data, plan, teacher=taught_by, checkpoint=checkpoint, report=report)
