"""Fine-tune a net that a pass has changed, with the answers of the net that it came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.task import Loss, TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.training.loop import Plan, Progress, cross_entropy, train

if TYPE_CHECKING:
    import torch
    from torch import nn

TEMPERATURE = 4.0  # softens the teacher's answers, so that its small probabilities count too


def fine_tune(
    module: nn.Module,
    data: TrainingSet,
    plan: Plan,
    *,
    teacher: nn.Module | None = None,
    checkpoint: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Train `module` in place by `plan`, as `train` does, and leave it in evaluation mode.

    Where `plan.teacher` is above 0, it is the weight of `teacher`'s answers to the same pictures in
    the loss (see `taught`). The teacher comes out as it went in, but in evaluation mode, in the
    memory format of the student; it is no part of the checkpoint.

    Raises `ConfigError` where the plan wants a teacher and there is none, or the task has a loss of
    its own: what a net answers there, and what of it could be taught, that loss alone knows. Raises
    `ValueError` for a net that is to be its own teacher. Else raises what `train` raises.
    """
    if plan.teacher > 0:
        if data.loss is not None:
            raise ConfigError("teacher: this task has a loss of its own; leave teacher out")
        if teacher is None:
            raise ConfigError(f"teacher: its weight is {plan.teacher}, but there is no teacher")
        if teacher is module:
            raise ValueError("the teacher is the net in training itself; give a copy from before")
        data = data._replace(loss=taught(teacher, plan))
    train(module, data, plan, checkpoint=checkpoint, report=report)


def taught(teacher: nn.Module, plan: Plan) -> Loss:
    """Return (1 - w) * cross entropy with the labels + w * T^2 * KL(teacher || student).

    w is `plan.teacher`; in the second term both nets' logits are divided by T = 4, and T^2 brings
    its gradients back to the size of the first's (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).
    The mean is over the batch; all of it is computed in float32.
    """
    import torch

    teacher.eval().to(memory_format=torch.channels_last)

    def soft(scores: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(scores.float() / TEMPERATURE, dim=1)

    def loss(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        scores = module(inputs)
        with torch.no_grad():
            wanted = soft(teacher(inputs))
        distance = (wanted.exp() * (wanted - soft(scores))).sum(dim=1).mean()
        given = cross_entropy(scores, labels, plan)
        return (1 - plan.teacher) * given + plan.teacher * TEMPERATURE**2 * distance

    return loss
