"""The training of a torch module: seeded, resumable, in bf16 where the processor has it.

A plan (`SgdPlan` or `AdamPlan`) says how. Nets that learn something other than classes have a loss
of their own (`TrainingSet.loss`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, ConfigError
from perfsuite.training.averaging import WeightAverage, norms_of, settling
from perfsuite.training.checkpoint import restore, save
from perfsuite.training.divergence import Losses, stray_weight
from perfsuite.training.plan import AdamPlan, SgdPlan, rate_at
from perfsuite.training.steps import Training, begin
from perfsuite.training.teaching import Teaching

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AdamPlan", "SgdPlan", "TrainingProgress", "rate_at", "train"]

_SETTLING = 50  # batches, over which the statistics of norms are taken for averaged weights


class TrainingProgress(msgspec.Struct, frozen=True):
    """The progress of a training: `step` of `steps` steps are done in epoch `epoch`, from 0."""

    epoch: int
    step: int
    steps: int
    loss: float


def train(
    module: nn.Module,
    data: TrainingSet,
    plan: SgdPlan,
    *,
    teacher: nn.Module | None = None,
    teaching: Teaching | None = None,
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] | None = None,
) -> None:
    """Train `module` in place and leave it in evaluation mode.

    `teacher` is a net whose answers have the weight `plan.teacher` in the loss (see `classifying`),
    and `teaching` says how they are compared. For data with a loss of their own the loss is
    `data.taught` where there is a teacher. Its weights do not change; it is left in evaluation
    mode.

    The state is written to the file `checkpoint` after every epoch and loaded from it, so that a
    training that was killed repeats at most one epoch and ends with the same weights.

    Raises `ConfigError` for a torn checkpoint or one of another plan or net, and for a net whose
    weights are all frozen; `BuildError` when the training diverges (see `Losses`) or a weight is
    not finite; `PerfsuiteError` when the disk is full. The last checkpoint with finite weights is
    then still there. Raises `ValueError` if only one of `teacher` and `plan.teacher` is given, and
    for a net that is its own teacher.
    """
    import torch

    if not any(weight.requires_grad for weight in module.parameters()):
        raise ConfigError(
            f"training: all weights of {type(module).__name__} are frozen; leave those that are to "
            f"be trained with requires_grad = True where it is built"
        )
    if teacher is module or (teacher is None) != (plan.teacher == 0):
        raise ValueError(f"teacher weighs {plan.teacher}: there must be another net, or none for 0")
    torch.manual_seed(plan.seed)
    training = begin(module, data, plan, teacher, teaching)
    mean = WeightAverage(module) if plan.averaging else None
    first, seen = restore(checkpoint, training, mean)
    course = _Course(training, Losses(training.steps, seen), mean, checkpoint)
    for epoch in range(first, plan.epochs):
        for step, loss in _epoch(course, epoch):
            if report:
                report(TrainingProgress(epoch, step + 1, training.steps, loss))
        if checkpoint:
            losses = course.losses.state()
            save(checkpoint, training, epoch + 1, losses, mean)
    if mean is not None:
        _take(training, mean)
    module.eval()


@dataclass(frozen=True)
class _Course:
    """A training under way, and what is known of it so far."""

    training: Training
    losses: Losses
    mean: WeightAverage | None  # of the weights, where the plan averages them
    checkpoint: Path | None

    def diverged(self, what: str, epoch: int, step: int) -> BuildError:
        """Return the error for a training that diverged; it names the checkpoint that is left."""
        plan, steps = self.training.plan, self.training.steps
        rate = rate_at(plan, epoch, step, steps)
        peaks = f"peak_rate is {plan.peak_rate}"
        if plan.restarts:
            peaks += ", restarts are " + ", ".join(f"{peak} at {at}" for at, peak in plan.restarts)
        if plan.averaging:
            peaks += f", averaging is at {plan.averaging[1]}"
        message = (
            f"training: {what} in epoch {epoch + 1} of {plan.epochs}, step {step + 1} of "
            f"{steps}, at a rate of {rate:.3g}: it diverged; lower the learning rate ({peaks})"
        )
        if self.checkpoint and epoch:
            message += (
                f". The state after epoch {epoch} is kept in {self.checkpoint}; a plan with "
                "another rate starts anew, once that file is deleted if it is in its way"
            )
        return BuildError(message)


def _epoch(course: _Course, epoch: int) -> Iterator[tuple[int, float]]:
    """Train for one epoch; yield the number and the loss of each step when it is done."""
    training, plan = course.training, course.training.plan
    module = training.module
    averages = plan.averaging is not None and epoch >= plan.averaging[0]
    module.train()
    for step, (inputs, targets) in enumerate(training.batches(epoch)):
        for group in training.optimizer.param_groups:
            group["lr"] = rate_at(plan, epoch, step, training.steps)
        loss, blind = training.loss(inputs, targets)
        value = float(loss.detach())
        if wrong := course.losses.add(value, blind):
            raise course.diverged(wrong, epoch, step)
        training.descend(loss)
        if course.mean is not None and averages:
            course.mean.add(module)
        yield step, value
    if name := stray_weight(module):
        raise course.diverged(f"{name} is not finite", epoch, training.steps - 1)


def _take(training: Training, mean: WeightAverage) -> None:
    """Set the net's weights to their mean, and its norms' statistics to those of that mean."""
    import torch

    mean.give(training.module)
    training.module.train()
    norms = [norm for norm in norms_of(training.module) if norm.training]  # others are frozen
    batches = itertools.islice(training.batches(training.plan.epochs), _SETTLING)
    with settling(norms), torch.no_grad():
        for inputs, targets in batches:
            training.loss(inputs, targets, alone=True)  # the teacher's answers are not needed
