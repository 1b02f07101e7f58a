"""Proof that a group's channels are what they are taken for: the net is run without them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.task import Inputs
from perfsuite.passes.channels import Group
from perfsuite.passes.surgery import Kept, cut, masked

if TYPE_CHECKING:
    import torch
    from torch import nn

_TOLERANCE = 1e-3  # of the greatest value: a convolution of other sizes may use another algorithm
# Of all values, these may differ by more: where two proposals change places, whole rows do.
_MAY_DIFFER = 0.1


def sound(
    model: nn.Module, groups: Sequence[Group], samples: Iterable[Inputs]
) -> tuple[list[Group], dict[str, str]]:
    """Return the groups that can be cut, and why the others cannot.

    Without some channels a net must answer as the whole one does with zeros in their place, in
    every layer. All groups are tried at once, and one by one where that fails.
    """
    inputs = list(samples)
    refused: dict[str, str] = {}
    if _failure(model, groups, _halves(groups), inputs):
        for group in groups:
            reason = _failure(model, [group], _halves([group]), inputs)
            if reason:
                refused[group.name] = reason
    good = [group for group in groups if group.name not in refused]
    removable = [group for group in good if group.removable]
    stay = set()
    if removable and _failure(model, removable, {name: [] for name in _names(removable)}, inputs):
        stay = {g.name for g in removable if _failure(model, [g], {g.name: []}, inputs)}
    return [
        msgspec.structs.replace(group, removable=group.removable and group.name not in stay)
        for group in good
    ], refused


def _names(groups: Iterable[Group]) -> list[str]:
    return [group.name for group in groups]


def _halves(groups: Iterable[Group]) -> dict[str, list[int]]:
    """Return every other channel of groups that have at least two."""
    return {g.name: list(range(0, g.width, 2)) for g in groups if g.width > 1}


def _failure(
    model: nn.Module, groups: Sequence[Group], kept: Kept, samples: Sequence[Inputs]
) -> str:
    """Return in what the cut net differs from the one with zeros, or an empty text."""
    zeros, smaller = copy.deepcopy(model), copy.deepcopy(model)
    masked(zeros, groups, kept)
    replaced = cut(smaller, groups, kept)
    for inputs in samples:
        expected = _layers(zeros, inputs)
        try:
            found = _layers(smaller, inputs)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            return f"without some of its channels the model fails: {str(error).splitlines()[0]}"
        for path, one in expected.items():
            other = found.get(path)
            if path in replaced:
                continue
            if other is None:
                return f"without some of its channels {path or 'the model'} gives nothing"
            if one.shape == other.shape and _differ(one, other):
                return f"without some of its channels {path or 'the model'} answers otherwise"
        if [one.shape for path, one in expected.items() if path.startswith("output ")] != [
            one.shape for path, one in found.items() if path.startswith("output ")
        ]:
            return "its channels are an output of the model"
    return ""


def _differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    limit = _TOLERANCE * float(one.abs().max()) + 1e-12
    return float(((one - other).abs() > limit).float().mean()) > _MAY_DIFFER


def _layers(model: nn.Module, inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return what layers give when they are first called, by path, and the model's outputs."""
    import torch
    from torch import nn

    seen: dict[str, torch.Tensor] = {}
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

    def record(path: str) -> Any:
        def hook(_: nn.Module, given: object, out: torch.Tensor) -> None:
            if path not in seen:
                seen[path] = out.detach().clone()

        return hook

    for path, module in model.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(record(path))
    with torch.no_grad():
        answer = model.eval()(*(torch.from_numpy(value) for value in inputs.values()))
    for index, tensor in enumerate(_tensors(answer)):
        seen[f"output {index}"] = tensor.detach()
    return seen


def _tensors(answer: Any) -> list[torch.Tensor]:
    import torch

    if isinstance(answer, torch.Tensor):
        return [answer.float()]
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, tuple | list):
        return [tensor for item in answer for tensor in _tensors(item)]
    return []
