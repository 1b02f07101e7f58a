"""How much a channel matters: one number a channel of each group."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, Unsupported
from perfsuite.passes.channels import Group

if TYPE_CHECKING:
    import torch
    from torch import nn

Criterion = Literal["l2", "taylor", "bn"]
Scores = dict[str, np.ndarray]  # a group's name to float64 (width,)

SAMPLES = 1024  # that gradients are taken of
BATCH = 64
SEED = 0


def l2(model: nn.Module, groups: Sequence[Group]) -> Scores:
    """Return the Euclidean norm of the weights that give each channel (Li et al. 2017,
    arXiv:1608.08710), over all layers of its group, divided by the group's mean.
    """
    modules = dict(model.named_modules())
    scores = {}
    for group in groups:
        squares = np.zeros(group.width)
        for path in group.paths("out"):
            weight = modules[path].weight
            if weight is not None and weight.ndim > 1:  # norms have a criterion of their own
                squares += weight.detach().flatten(1).square().sum(1).double().numpy()
        scores[group.name] = _relative(np.sqrt(_finite(group, squares)))
    return scores


def bn(model: nn.Module, groups: Sequence[Group]) -> Scores:
    """Return the absolute scales of batch normalization (Liu et al. 2017, arXiv:1708.06519).

    They are summed over the norms of a group. Raises `Unsupported` for a group without one.
    """
    modules = dict(model.named_modules())
    scores = {}
    for group in groups:
        norms = [modules[path] for path in _scaling(modules, group)]
        if not norms:
            raise Unsupported(
                f"prune: importance 'bn' needs a batch normalization behind {group.name}, and "
                f"there is none; use 'l2' or 'taylor'"
            )
        scales = (m.weight.detach().abs().double().numpy() for m in norms)
        scores[group.name] = _finite(group, sum(scales, np.zeros(group.width)))
    return scores


def taylor(model: nn.Module, groups: Sequence[Group], data: TrainingSet) -> Scores:
    """Return how much the loss would change without each channel, to first order.

    The sum over a channel's weights of weight times gradient, squared, averaged over batches of
    training samples (Molchanov et al. 2019, arXiv:1906.10771, equation 8). A channel's weights are
    those of the norms behind it, as in section 4.2 there, or of the layers themselves where there
    are none. Raises `BuildError` for gradients that are not finite.
    """
    import torch

    trial = copy.deepcopy(model)
    for parameter in trial.parameters():
        parameter.requires_grad_(True)
    # A detector gives losses in training mode alone.
    trial.train(data.loss is not None)
    modules = dict(trial.named_modules())
    scores = {group.name: np.zeros(group.width) for group in groups}
    batches = 0
    for inputs, targets in _batches(data):
        trial.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss = (data.loss or _cross_entropy)(trial, inputs, targets)
            torch.autograd.backward(loss)
        for group in groups:
            scores[group.name] += _first_order(modules, group) ** 2
        batches += 1
    for name, values in scores.items():
        if not np.isfinite(values).all():
            raise BuildError(
                f"prune: the gradients of {name} are not finite on the training samples; check the "
                f"model's weights, or use importance = 'l2'"
            )
        scores[name] = values / batches
    return scores


def _first_order(modules: dict[str, Any], group: Group) -> np.ndarray:
    """Return, by channel, the sum of weight times gradient."""
    total = np.zeros(group.width)
    for path in _scaling(modules, group) or group.paths("out"):
        for parameter in modules[path]._parameters.values():
            if parameter is not None and parameter.grad is not None:
                product = parameter.detach() * parameter.grad
                total += product.reshape(group.width, -1).sum(1).double().numpy()
    return total


def _scaling(modules: dict[str, Any], group: Group) -> list[str]:
    """Return the norms of a group that have scales."""
    found = {path: modules[path].weight for path in group.paths("out")}
    return [path for path, weight in found.items() if weight is not None and weight.ndim == 1]


def _finite(group: Group, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise BuildError(
            f"prune: the weights of {group.name} have NaN or infinite values; check the model"
        )
    return values


def _batches(data: TrainingSet) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    import torch

    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(len(data.inputs))[:SAMPLES]
    # Detectors take much longer for a sample, and give more gradient: fewer do.
    size = BATCH if data.loss is None else BATCH // 8
    chosen = chosen if data.loss is None else chosen[: SAMPLES // 16]
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        inputs = torch.from_numpy(data.prepare(data.inputs[part], rng))
        yield inputs, torch.from_numpy(data.targets[part])


def _cross_entropy(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    import torch

    scores = module(inputs)
    if not isinstance(scores, torch.Tensor):
        raise Unsupported(
            f"prune: importance 'taylor' needs a loss, and that of a {type(scores).__name__} is "
            f"not known; give the training set a loss, or use importance = 'l2'"
        )
    return torch.nn.functional.cross_entropy(scores, targets.long())


def _relative(values: np.ndarray) -> np.ndarray:
    mean = values.mean()
    return values / mean if mean > 0 else values
