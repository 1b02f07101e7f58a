"""The importance of channels: one number for each channel of each group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.calls import call_one
from perfsuite.passes.prune.channels import Group, Member
from perfsuite.passes.prune.sizes import is_norm
from perfsuite.passes.prune.surgery import masked
from perfsuite.passes.shared.invocation import copied

if TYPE_CHECKING:
    import torch
    from torch import nn

Scores = dict[str, np.ndarray]  # float64 (width,), by the group's name
GroupWidth = tuple[str, int]  # a group's name and a width of it

SAMPLES = 1024  # for gradients
LOSS_SAMPLES = 512  # for losses
BATCH = 64
FEWER = 16  # samples and batches are so many times smaller for tasks with a loss of their own
SEED = 0


def l2(model: nn.Module, groups: Sequence[Group]) -> Scores:
    """Return the Euclidean norm of the weights that give each channel (Li et al. 2017,
    arXiv:1608.08710), over all layers of its group, divided by the group's mean.
    """
    parameters = dict(model.named_parameters())
    scores = {}
    for group in groups:
        squares = np.zeros(group.width)
        for member in _given(group, parameters):
            weight = parameters[member.name].detach()
            if weight.ndim > 1:  # not of norms; see `bn`
                squares += _by_unit(member, weight.square())
        scores[group.name] = _relative(np.sqrt(_finite(group, squares)))
    return scores


def bn(model: nn.Module, groups: Sequence[Group]) -> Scores:
    """Return the absolute scales of batch normalization (Liu et al. 2017, arXiv:1708.06519).

    They are summed over the norms of a group. Raises `Unsupported` for a group without one.
    """
    parameters = dict(model.named_parameters())
    scores = {}
    for group in groups:
        scales = [m for m in _scaling(model, group) if m.name.endswith(".weight")]
        if not scales:
            raise Unsupported(
                f"prune: importance 'bn' needs a batch normalization behind {group.name}, and "
                f"there is none; use 'l2' or 'taylor'"
            )
        sizes = (_by_unit(member, parameters[member.name].detach().abs()) for member in scales)
        scores[group.name] = _finite(group, sum(sizes, np.zeros(group.width)))
    return scores


def taylor(model: nn.Module, groups: Sequence[Group], data: TrainingSet) -> Scores:
    """Return how much the loss would change without each channel, to first order.

    It is the sum over a channel's weights of weight times gradient, as root mean square over
    batches of training samples (Molchanov et al. 2019, arXiv:1906.10771, the root of equation 8).
    A channel's weights are the scales and shifts of the norms behind it (section 4.2 there), or,
    where there is no norm, its weights and bias in the layer. Raises `BuildError` for gradients
    that are not finite.
    """
    import torch

    trial = copied(model)
    for parameter in trial.parameters():
        parameter.requires_grad_(True)
    # A detector gives losses in training mode alone.
    trial.train(data.loss is not None)
    scores = {group.name: np.zeros(group.width) for group in groups}
    batches = 0
    for inputs, targets in _batches(data, SAMPLES):
        trial.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss = (data.loss or _cross_entropy)(trial, inputs, targets)
            torch.autograd.backward(loss)
        for group in groups:
            scores[group.name] += _first_order(trial, group) ** 2
        batches += 1
    for name, values in scores.items():
        if not np.isfinite(values).all():
            raise BuildError(
                f"prune: the gradients of {name} are not finite on the training samples; check the "
                f"model's weights, or use importance = 'l2'"
            )
        scores[name] = np.sqrt(values / batches)
    return scores


def losses(
    model: nn.Module,
    groups: Sequence[Group],
    scores: Scores,
    widths: Mapping[str, Iterable[int]],
    data: TrainingSet,
    progress: Callable[[int, int], None],
) -> dict[GroupWidth, float]:
    """Return by how much the loss grows when a group keeps its best channels only, by width.

    It is measured on training samples, with zeros in the place of the other channels. Where most of
    a group is removed, the sum of the single channels' scores would be far too low.
    """
    import torch

    places = [(group, width) for group in groups for width in widths[group.name]]
    batches = list(_batches(data, LOSS_SAMPLES))

    def loss_of(trial: nn.Module) -> float:
        trial.train(data.loss is not None)  # a detector gives losses in training mode alone
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            values = [float((data.loss or _cross_entropy)(trial, *batch)) for batch in batches]
        return float(np.mean(values))

    whole = loss_of(copied(model))
    grown = {}
    for done, (group, width) in enumerate(places):
        grown[group.name, width] = 0.0
        if width < group.width:
            trial = copied(model)
            masked(trial, [group], {group.name: best(scores[group.name], width)})
            more = loss_of(trial) - whole
            grown[group.name, width] = np.inf if np.isnan(more) else max(0.0, more)
        progress(done, len(places))
    return grown


def sums(
    groups: Sequence[Group], scores: Scores, widths: Mapping[str, Iterable[int]]
) -> dict[GroupWidth, float]:
    """Return the summed scores of the channels that a group loses, by width."""
    lost = {
        name: np.concatenate([[0.0], np.sort(values).cumsum()]) for name, values in scores.items()
    }
    return {
        (group.name, width): float(lost[group.name][group.width - width])
        for group in groups
        for width in widths[group.name]
    }


def best(values: np.ndarray, width: int) -> list[int]:
    """Return the `width` channels with the highest values, in ascending order."""
    order = np.argsort(-values, kind="stable")
    return sorted(int(channel) for channel in order[:width])


def _first_order(model: nn.Module, group: Group) -> np.ndarray:
    """Return, by unit, the sum of weight times gradient."""
    parameters = dict(model.named_parameters())
    total = np.zeros(group.width)
    for member in _scaling(model, group) or _given(group, parameters):
        parameter = parameters[member.name]
        if parameter.grad is not None:
            total += _by_unit(member, parameter.detach() * parameter.grad)
    return total


def _given(group: Group, parameters: Mapping[str, Any]) -> list[Member]:
    """Return the parameters that give a group's channels, or come behind such."""
    return [each for each in group.members if each.side == "out" and each.name in parameters]


def _scaling(model: nn.Module, group: Group) -> list[Member]:
    """Return the scales and shifts of a group's norms, of those that have scales."""
    modules = dict(model.named_modules())
    parameters = dict(model.named_parameters())
    return [
        member
        for member in _given(group, parameters)
        if is_norm(modules[member.path]) and f"{member.path}.weight" in parameters
    ]


def _by_unit(member: Member, values: torch.Tensor) -> np.ndarray:
    """Return the sums of a parameter's values over each unit of a member."""
    rows = values.movedim(member.axis, 0).flatten(1) if values.ndim > 1 else values[:, None]
    sums = rows.sum(1).double().numpy()
    return np.asarray(sums[np.asarray(member.places)].sum(1))


def _finite(group: Group, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise BuildError(
            f"prune: the weights of {group.name} have NaN or infinite values; check the model"
        )
    return values


def _batches(data: TrainingSet, samples: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    import torch

    rng = np.random.default_rng(SEED)
    # A sample of a task with a loss of its own, such as detection, is a whole scene.
    few = 1 if data.loss is None else FEWER
    chosen = rng.permutation(len(data.inputs))[: samples // few]
    size = max(1, BATCH // few)
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        inputs = torch.from_numpy(data.prepare(data.inputs[part], rng))
        yield inputs, torch.from_numpy(data.targets[part])


def _cross_entropy(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    import torch

    scores = call_one(module, inputs)
    if not isinstance(scores, torch.Tensor):
        raise Unsupported(
            f"prune: importance 'taylor' needs a loss, and that of a {type(scores).__name__} is "
            f"not known; give the training set a loss, or use importance = 'l2'"
        )
    return torch.nn.functional.cross_entropy(scores, targets.long())


def _relative(values: np.ndarray) -> np.ndarray:
    mean = values.mean()
    return values / mean if mean > 0 else values
