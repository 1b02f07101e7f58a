"""Train a torch module: seeded, resumable, bf16 where the processor has it.

The schedule is SGD with Nesterov momentum under a learning rate that rises and falls linearly
(Smith and Topin 2019, arXiv:1708.07120, "one cycle"), if asked more than once (Loshchilov and
Hutter 2017, arXiv:1608.03983, "warm restarts"), with label smoothing (Szegedy et al. 2016,
arXiv:1512.00567), pictures that grow during training (Touvron et al. 2019, arXiv:1906.06423:
early epochs need fewer pixels, and cost less) and squares blanked in them (DeVries and Taylor 2017,
arXiv:1708.04552, "cutout"). Nets that learn something else than classes bring a loss of their own
(`TrainingSet.loss`); for those that SGD is slow with there is Adam.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.domain.task import Loss, TrainingSet
from perfsuite.errors import ConfigError, PerfsuiteError

if TYPE_CHECKING:
    import torch
    from torch import nn


class Plan(msgspec.Struct, frozen=True):
    """How to train: every field changes the result, so all of them go on the model card.

    `sizes` holds (first epoch, side in pixels) pairs; without one, pictures keep their size.
    `restarts` holds (epoch, peak rate) pairs: there the rate begins to rise anew.
    `cutouts` holds (first epoch, side in pixels) pairs: the square blanked in every picture.
    """

    epochs: int
    batch: int = 256
    peak_rate: float = 0.1
    warmup: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    sizes: tuple[tuple[int, int], ...] = ()
    restarts: tuple[tuple[int, float], ...] = ()
    cutouts: tuple[tuple[int, int], ...] = ()
    bf16: bool = True
    seed: int = 0

    def size_at(self, epoch: int) -> int | None:
        """Return the side in pixels that pictures have in `epoch`, or None for their own."""
        return _at(self.sizes, epoch)

    def cutout_at(self, epoch: int) -> int | None:
        """Return the side in pixels of the square blanked in `epoch`, or None for none."""
        return _at(self.cutouts, epoch)


class AdamPlan(Plan, frozen=True):
    """A plan for Adam with decoupled decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    `momentum` is that of its first moments. Gradients longer than `longest_gradient`, over all
    parameters, are shortened to it (Pascanu et al. 2013, arXiv:1211.5063).
    """

    longest_gradient: float = 1.0


def _at(steps: tuple[tuple[int, int], ...], epoch: int) -> int | None:
    return next((value for first, value in reversed(steps) if epoch >= first), None)


class Progress(msgspec.Struct, frozen=True):
    """Where training stands: after step `step` of `steps` in epoch `epoch` (from 0)."""

    epoch: int
    step: int
    steps: int
    loss: float
    elapsed_s: float


def rate_at(plan: Plan, epoch: int, step: int, steps: int) -> float:
    """Return the learning rate of step `step` of `steps` in `epoch`: up to a peak, down to zero."""
    cycles = [(0, plan.peak_rate), *plan.restarts]
    ends = [first for first, _ in plan.restarts] + [plan.epochs]
    index = max(i for i, (first, _) in enumerate(cycles) if epoch >= first)
    (first, peak), end = cycles[index], ends[index]
    at, total = (epoch - first) * steps + step, (end - first) * steps
    rise = max(1, int(plan.warmup * total))
    return peak * min((at + 1) / rise, (total - at) / max(1, total - rise))


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
    return torch.optim.SGD(groups, lr=plan.peak_rate, momentum=plan.momentum, nesterov=True)


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
            loss = (data.loss or _cross_entropy(plan))(module, inputs, targets)
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


def _cross_entropy(plan: Plan) -> Loss:
    """Return the loss of a classifier; it is computed in float32 whatever the net's precision."""
    import torch

    def loss(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        scores = module(inputs).float()
        return torch.nn.functional.cross_entropy(
            scores, labels.long(), label_smoothing=plan.label_smoothing
        )

    return loss


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
    if state["plan"] != msgspec.json.encode(plan).decode():
        raise ConfigError(f"{path}: a checkpoint of another plan; delete it to start anew")
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epochs"])
