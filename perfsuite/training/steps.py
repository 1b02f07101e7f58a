"""The steps of a training: their batches, their loss, and what they change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.export.calls import evaluated
from perfsuite.training.classifying import classifying
from perfsuite.training.plan import AdamPlan, SgdPlan
from perfsuite.training.teaching import Teaching

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Training:
    """What all steps of a training share; `begin` makes it.

    The loss is that of `classifying` with `teaching`, unless the data have a loss of their own.
    """

    module: nn.Module
    teacher: nn.Module | None
    optimizer: torch.optim.Optimizer
    data: TrainingSet
    plan: SgdPlan
    teaching: Teaching
    steps: int  # an epoch
    # The loss of data of their own kind against the teacher, with weights that learn along with it.
    lesson: nn.Module | None = None

    @property
    def device(self) -> torch.device:
        """Return where the module lies."""
        return next(self.module.parameters()).device

    def batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the inputs and the targets of each step of `epoch`; torch's generator is seeded."""
        import torch

        data, plan = self.data, self.plan
        # Seeded by epoch, so that a resumed training sees the same pictures.
        torch.manual_seed(plan.seed + epoch)
        rng = np.random.default_rng((plan.seed, epoch))
        order = rng.permutation(len(data.inputs))
        for step in range(self.steps):
            chosen = order[step * plan.batch : (step + 1) * plan.batch]
            inputs = torch.from_numpy(data.prepare(data.inputs[chosen], rng)).to(self.device)
            inputs = _resized(inputs, plan.size_at(epoch))
            inputs = _cut_out(inputs, plan.cutout_at(epoch), rng)
            yield inputs, torch.from_numpy(data.targets[chosen]).to(self.device)

    def loss(
        self, inputs: torch.Tensor, targets: torch.Tensor, *, alone: bool = False
    ) -> tuple[torch.Tensor, float | None]:
        """Return the loss, and that of a net with equal scores for all classes, None if unknown.

        `alone` leaves the teacher out.
        """
        import torch

        module, data, plan = self.module, self.data, self.plan
        teacher, kind = None if alone else self.teacher, self.device.type
        half = plan.bf16 and (kind == "cuda" or torch.cpu._is_avx512_bf16_supported())
        with torch.autocast(kind, torch.bfloat16, enabled=half):
            if data.loss and teacher is not None and data.taught is not None:
                taught = self.lesson or data.taught
                return taught(module, teacher, inputs, targets), None
            if data.loss:
                return data.loss(module, inputs, targets), None
            return classifying(module, teacher, inputs, targets, plan, self.teaching)

    def descend(self, loss: torch.Tensor) -> None:
        """Change the weights by one step of the optimizer."""
        import torch

        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if isinstance(self.plan, AdamPlan):
            longest = self.plan.longest_gradient
            learning = _learning(self.module, self.lesson)
            torch.nn.utils.clip_grad_norm_(learning.parameters(), longest)
        self.optimizer.step()


def begin(
    module: nn.Module,
    data: TrainingSet,
    plan: SgdPlan,
    teacher: nn.Module | None,
    teaching: Teaching | None,
) -> Training:
    """Return the training of `module`, whose weights get the memory layout of fast kernels.

    So do those of `teacher`, which is put into evaluation mode. Raises `ConfigError` for fewer
    samples than a batch has.
    """
    _channels_last(module)
    if teacher is not None:
        _channels_last(evaluated(teacher))
    give = getattr(data.taught, "lesson", None)
    lesson = give(module, teacher, plan.teacher) if give and teacher is not None else None
    optimizer, steps = _optimizer(_learning(module, lesson), plan), _steps(data, plan)
    return Training(module, teacher, optimizer, data, plan, teaching or Teaching(), steps, lesson)


def _learning(module: nn.Module, lesson: nn.Module | None) -> nn.Module:
    """Return all whose weights are trained, as one module."""
    from torch import nn

    return module if lesson is None else nn.ModuleList([module, lesson])


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
