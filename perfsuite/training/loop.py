"""The training of a torch module: seeded, resumable, in bf16 where the processor has it.

A plan (`SgdPlan` or `AdamPlan`) says how. Nets that learn something other than classes have a loss
of their own (`TrainingSet.loss`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, ConfigError
from perfsuite.export.calls import evaluated
from perfsuite.training.averaging import WeightAverage, norms_of, settling
from perfsuite.training.checkpoint import restore, save
from perfsuite.training.classifying import classifying
from perfsuite.training.divergence import Losses, stray_weight
from perfsuite.training.plan import AdamPlan, SgdPlan, rate_at

if TYPE_CHECKING:
    import torch
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
    checkpoint: Path | None = None,
    report: Callable[[TrainingProgress], None] | None = None,
) -> None:
    """Train `module` in place and leave it in evaluation mode.

    `teacher` is a net whose answers have the weight `plan.teacher` in the loss (see `classifying`),
    for data without a loss of their own. Its weights do not change; it is left in evaluation mode.

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
    _channels_last(module)
    if teacher is not None:
        _channels_last(evaluated(teacher))
    optimizer = _optimizer(module, plan)
    steps = _steps(data, plan)
    mean = WeightAverage(module) if plan.averaging else None
    first, seen = restore(checkpoint, module, optimizer, plan, mean)
    losses = Losses(steps, seen)
    training = _Training(module, teacher, optimizer, data, plan, steps, losses, mean, checkpoint)
    for epoch in range(first, plan.epochs):
        for step, loss in _epoch(training, epoch):
            if report:
                report(TrainingProgress(epoch, step + 1, steps, loss))
        if checkpoint:
            save(checkpoint, module, optimizer, plan, epoch + 1, losses.state(), mean)
    if mean is not None:
        _take(training, mean)
    module.eval()


@dataclass(frozen=True)
class _Training:
    """What all epochs of a training share."""

    module: nn.Module
    teacher: nn.Module | None
    optimizer: torch.optim.Optimizer
    data: TrainingSet
    plan: SgdPlan
    steps: int  # an epoch
    losses: Losses
    mean: WeightAverage | None  # of the weights, where the plan averages them
    checkpoint: Path | None

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def diverged(self, what: str, epoch: int, step: int) -> BuildError:
        """Return the error for a training that diverged; it names the checkpoint that is left."""
        plan, rate = self.plan, rate_at(self.plan, epoch, step, self.steps)
        peaks = f"peak_rate is {plan.peak_rate}"
        if plan.restarts:
            peaks += ", restarts are " + ", ".join(f"{peak} at {at}" for at, peak in plan.restarts)
        if plan.averaging:
            peaks += f", averaging is at {plan.averaging[1]}"
        message = (
            f"training: {what} in epoch {epoch + 1} of {plan.epochs}, step {step + 1} of "
            f"{self.steps}, at a rate of {rate:.3g}: it diverged; lower the learning rate ({peaks})"
        )
        if self.checkpoint and epoch:
            message += (
                f". The state after epoch {epoch} is kept in {self.checkpoint}; a plan with "
                "another rate starts anew, once that file is deleted if it is in its way"
            )
        return BuildError(message)


def _channels_last(module: nn.Module) -> None:
    """Store the weights of 2D convolutions in the layout (channels last) of fast bf16 kernels."""
    import torch

    for weight in module.parameters():
        if weight.ndim == 4:  # torch's conversion of a whole module fails for 5 dimensions
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)


def _steps(data: TrainingSet, plan: SgdPlan) -> int:
    """Return the number of whole batches in an epoch."""
    samples = len(data.inputs)
    if samples < plan.batch:
        raise ConfigError(
            f"training: a batch of {plan.batch} needs more than {samples} samples; "
            "use a smaller batch"
        )
    return samples // plan.batch


def _optimizer(module: nn.Module, plan: SgdPlan) -> torch.optim.Optimizer:
    import torch

    # Biases and the parameters of norms have no weight decay.
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if isinstance(plan, AdamPlan):
        return torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(plan.momentum, 0.999))
    momentum = plan.momentum  # torch refuses Nesterov's with a momentum of 0
    return torch.optim.SGD(groups, lr=plan.peak_rate, momentum=momentum, nesterov=momentum > 0)


def _epoch(training: _Training, epoch: int) -> Iterator[tuple[int, float]]:
    """Train for one epoch; yield the number and the loss of each step when it is done."""
    module, plan = training.module, training.plan
    averages = plan.averaging is not None and epoch >= plan.averaging[0]
    module.train()
    for step, (inputs, targets) in enumerate(_batches(training, epoch)):
        for group in training.optimizer.param_groups:
            group["lr"] = rate_at(plan, epoch, step, training.steps)
        loss, blind = _loss(training, inputs, targets)
        value = float(loss.detach())
        if wrong := training.losses.add(value, blind):
            raise training.diverged(wrong, epoch, step)
        _descend(training, loss)
        if training.mean is not None and averages:
            training.mean.add(module)
        yield step, value
    if name := stray_weight(module):
        raise training.diverged(f"{name} is not finite", epoch, training.steps - 1)


def _batches(training: _Training, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the inputs and the targets of each step of `epoch`."""
    import torch

    data, plan = training.data, training.plan
    # Seeded by epoch, so that a resumed training sees the same pictures.
    torch.manual_seed(plan.seed + epoch)
    rng = np.random.default_rng((plan.seed, epoch))
    order = rng.permutation(len(data.inputs))
    device = training.device
    for step in range(training.steps):
        chosen = order[step * plan.batch : (step + 1) * plan.batch]
        inputs = torch.from_numpy(data.prepare(data.inputs[chosen], rng)).to(device)
        inputs = _resized(inputs, plan.size_at(epoch))
        inputs = _cut_out(inputs, plan.cutout_at(epoch), rng)
        yield inputs, torch.from_numpy(data.targets[chosen]).to(device)


def _loss(
    training: _Training, inputs: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, float | None]:
    """Return the loss, and the loss of a net with equal scores for all classes, None if unknown."""
    import torch

    module, data, plan, kind = training.module, training.data, training.plan, training.device.type
    half = plan.bf16 and (kind == "cuda" or torch.cpu._is_avx512_bf16_supported())
    with torch.autocast(kind, torch.bfloat16, enabled=half):
        if data.loss:
            return data.loss(module, inputs, targets), None
        return classifying(module, training.teacher, inputs, targets, plan)


def _take(training: _Training, mean: WeightAverage) -> None:
    """Set the net's weights to their mean, and its norms' statistics to those of that mean."""
    import torch

    mean.give(training.module)
    training.module.train()
    norms = [norm for norm in norms_of(training.module) if norm.training]  # others are frozen
    batches = itertools.islice(_batches(training, training.plan.epochs), _SETTLING)
    alone = replace(training, teacher=None)  # the teacher's answers are not needed here
    with settling(norms), torch.no_grad():
        for inputs, targets in batches:
            _loss(alone, inputs, targets)


def _descend(training: _Training, loss: torch.Tensor) -> None:
    """Change the weights by one step of the optimizer."""
    import torch

    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    if isinstance(training.plan, AdamPlan):
        longest = training.plan.longest_gradient
        torch.nn.utils.clip_grad_norm_(training.module.parameters(), longest)
    training.optimizer.step()


def _resized(inputs: torch.Tensor, side: int | None) -> torch.Tensor:
    import torch

    if side and inputs.ndim == 4 and inputs.shape[-1] != side:
        inputs = torch.nn.functional.interpolate(
            inputs, size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
    if inputs.ndim == 4:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    return inputs


def _cut_out(inputs: torch.Tensor, side: int | None, rng: np.random.Generator) -> torch.Tensor:
    """Return the NCHW pictures with one square in each set to zero, at a random place."""
    import torch

    if not side:
        return inputs
    if inputs.ndim != 4 or side > min(inputs.shape[2:]):
        shape = tuple(inputs.shape[1:])
        raise ConfigError(f"cutouts: no square of {side} pixels fits in inputs of shape {shape}")
    count, _, height, width = inputs.shape
    top = rng.integers(0, height - side + 1, (count, 1))
    left = rng.integers(0, width - side + 1, (count, 1))
    rows = (np.arange(height) >= top) & (np.arange(height) < top + side)
    columns = (np.arange(width) >= left) & (np.arange(width) < left + side)
    blank = torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :])
    return inputs.masked_fill(blank.to(inputs.device), 0.0)
