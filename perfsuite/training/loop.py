"""Train a torch module: seeded, resumable, bf16 where the processor has it.

`Plan` says how. Nets that learn something else than classes bring a loss of their own
(`TrainingSet.loss`); for those that SGD is slow with there is Adam.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.training.plan import AdamPlan, Plan, rate_at

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["AdamPlan", "Plan", "Progress", "cross_entropy", "rate_at", "train"]


class Progress(msgspec.Struct, frozen=True):
    """Where training stands: after step `step` of `steps` in epoch `epoch` (from 0)."""

    epoch: int
    step: int
    steps: int
    loss: float
    elapsed_s: float


def train(
    module: nn.Module,
    data: TrainingSet,
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Train `module` in place and leave it in evaluation mode.

    With `checkpoint`, the state is written there after every epoch and taken up from there, so
    that a killed training repeats at most one epoch and ends with the same weights. Raises
    `ConfigError` for a checkpoint of another plan, `PerfsuiteError` when the loss diverges.
    """
    import torch

    torch.manual_seed(plan.seed)
    module.to(memory_format=torch.channels_last)
    optimizer = _optimizer(module, plan)
    first = _restore(checkpoint, module, optimizer, plan)
    started = time.perf_counter()
    for epoch in range(first, plan.epochs):
        _train_epoch(module, optimizer, data, plan, epoch, started, report)
        if checkpoint:
            _save(checkpoint, module, optimizer, plan, epoch + 1)
    module.eval()


def _optimizer(module: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    import torch

    # Decay belongs to weights alone: on biases and norms it only shifts activations.
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if isinstance(plan, AdamPlan):
        return torch.optim.AdamW(groups, lr=plan.peak_rate, betas=(plan.momentum, 0.999))
    momentum = plan.momentum  # torch knows Nesterov's for more than none alone
    return torch.optim.SGD(groups, lr=plan.peak_rate, momentum=momentum, nesterov=momentum > 0)


def _train_epoch(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: TrainingSet,
    plan: Plan,
    epoch: int,
    started: float,
    report: Callable[[Progress], None] | None,
) -> None:
    import torch

    # Seeded by epoch, so that a resumed training sees the same pictures.
    torch.manual_seed(plan.seed + epoch)
    rng = np.random.default_rng((plan.seed, epoch))
    order = rng.permutation(len(data.inputs))
    steps = len(order) // plan.batch
    if steps == 0:
        raise ConfigError(
            f"training: a batch of {plan.batch} needs more than {len(order)} samples; "
            "use a smaller batch"
        )
    device = next(module.parameters()).device
    half = plan.bf16 and (device.type == "cuda" or torch.cpu._is_avx512_bf16_supported())
    module.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(plan, epoch, step, steps)
        chosen = order[step * plan.batch : (step + 1) * plan.batch]
        inputs = torch.from_numpy(data.prepare(data.inputs[chosen], rng)).to(device)
        inputs = _resized(inputs, plan.size_at(epoch))
        inputs = _cut_out(inputs, plan.cutout_at(epoch), rng)
        targets = torch.from_numpy(data.targets[chosen]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            if data.loss:
                loss = data.loss(module, inputs, targets)
            else:
                loss = cross_entropy(module(inputs), targets, plan)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if isinstance(plan, AdamPlan):
            torch.nn.utils.clip_grad_norm_(module.parameters(), plan.longest_gradient)
        optimizer.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise PerfsuiteError(
                f"training: the loss became {value} in epoch {epoch}, step {step}; "
                f"lower the learning rate (peak_rate is {plan.peak_rate})"
            )
        if report:
            report(Progress(epoch, step + 1, steps, value, time.perf_counter() - started))


def cross_entropy(scores: torch.Tensor, labels: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Return the loss of a classifier, in float32 whatever the net's precision."""
    import torch

    return torch.nn.functional.cross_entropy(
        scores.float(), labels.long(), label_smoothing=plan.label_smoothing
    )


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
    """Set one square in each NCHW picture to zero, wherever it fits."""
    import torch

    if not side:
        return inputs
    count, _, height, width = inputs.shape
    top = rng.integers(0, height - side + 1, (count, 1))
    left = rng.integers(0, width - side + 1, (count, 1))
    rows = (np.arange(height) >= top) & (np.arange(height) < top + side)
    columns = (np.arange(width) >= left) & (np.arange(width) < left + side)
    blank = torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :])
    return inputs.masked_fill(blank.to(inputs.device), 0.0)


def _save(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, epochs: int
) -> None:
    """Write the checkpoint beside its place and rename it: a kill leaves the old one whole."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {
        "plan": msgspec.json.encode(plan).decode(),
        "epochs": epochs,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(state, partial)
    partial.replace(path)


def _restore(
    path: Path | None, module: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan
) -> int:
    """Load the checkpoint if there is one; return the number of epochs already done."""
    import torch

    if path is None or not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if _plan_of(state["plan"]) != plan:
        raise ConfigError(f"{path}: a checkpoint of another plan; delete it to start anew")
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epochs"])


def _plan_of(text: str) -> Plan:
    """Return the plan of a checkpoint; those of before plans named their optimizer do too."""
    fields = msgspec.json.decode(text)
    fields.setdefault("optimizer", "adam" if "longest_gradient" in fields else "sgd")
    return msgspec.convert(fields, Plan | AdamPlan)
