"""Channels are taken out of a module, and a fresh module is given the shapes of stored tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.shared.layers import convolution_kinds

if TYPE_CHECKING:
    import torch
    from torch import nn

State = dict[str, "torch.Tensor"]
Kept = Mapping[str, Sequence[int]]  # the channels that stay, ascending, by the group's name


def cut(model: nn.Module, groups: Iterable[Group], kept: Kept) -> tuple[str, ...]:
    """Return the paths of modules that were removed, after cutting each group down to `kept`.

    `model` is changed in place. Where a group keeps no channel, its whole branch of a sum is
    removed: its members and the norms behind them.
    """
    chosen = [group for group in groups if group.name in kept]
    gone = [group for group in chosen if not kept[group.name]]
    replaced = tuple(path for group in gone for path in _branch(group))
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.rpartition(".")[0] not in replaced
    }
    for group in chosen:
        for member in group.members:
            if member.path not in replaced:
                _slice(state, member.path, member.side, kept[group.name], member.repeat)
    absent(model, replaced)
    shape(model, state)
    return replaced


def masked(model: nn.Module, groups: Iterable[Group], kept: Kept) -> None:
    """Set the weights to zero that read channels not `kept`; `model` then answers as if cut."""
    import torch

    modules = dict(model.named_modules())
    with torch.no_grad():
        for group in groups:
            if group.name not in kept:
                continue
            lost = sorted(set(range(group.width)) - set(kept[group.name]))
            for member in group.members:
                if member.side == "in":
                    modules[member.path].weight[:, _spread(lost, member.repeat)] = 0
            if not kept[group.name]:
                absent(model, (*group.paths("in"), *group.after))


def absent(model: nn.Module, paths: Iterable[str]) -> None:
    """Replace modules by one that returns zero, so that a sum keeps its other operands.

    Raises `BuildError` for a path that the model has not.
    """
    for path in paths:
        parent, _, name = path.rpartition(".")
        try:
            model.get_submodule(path)
        except AttributeError as error:
            raise BuildError(f"stored edits belong to another model: {error}") from error
        setattr(model.get_submodule(parent), name, _absent()())


def is_absent(module: nn.Module) -> bool:
    """Tell whether `module` stands for one that `absent` has removed."""
    return isinstance(module, _absent())


def shape(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give the layers of `model` the shapes that the tensors of `state` have, and load them.

    Raises `BuildError` where names or ranks do not fit: the tensors belong to another model.
    """
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        own = {**module._parameters, **module._buffers}
        wanted = {name: state[prefix + name] for name in own if prefix + name in state}
        if any(own[n] is not None and own[n].shape != t.shape for n, t in wanted.items()):
            _resize(path, module, wanted)
    try:
        model.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise BuildError(f"stored edits belong to another model: {error}") from error


def load(model: nn.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Give the layers of `model` the shapes of NumPy arrays, and load them, as `shape` does."""
    import torch

    shape(model, {name: torch.from_numpy(array) for name, array in tensors.items()})


def _branch(group: Group) -> tuple[str, ...]:
    return (*(member.path for member in group.members), *group.after)


def _slice(state: State, path: str, side: str, kept: Sequence[int], repeat: int) -> None:
    import torch

    if side == "in":
        name = f"{path}.weight"
        state[name] = state[name][:, torch.as_tensor(_spread(kept, repeat), dtype=torch.long)]
        return
    for name in [n for n in state if n.rpartition(".")[0] == path and state[n].ndim > 0]:
        state[name] = state[name][torch.as_tensor(list(kept), dtype=torch.long)]


def _spread(channels: Sequence[int], repeat: int) -> list[int]:
    """Return the inputs of a linear layer that belong to `channels`, `repeat` for each."""
    return [channel * repeat + place for channel in channels for place in range(repeat)]


def _resize(path: str, module: Any, wanted: Mapping[str, torch.Tensor]) -> None:
    import torch
    from torch import nn

    rule = _rule(module)
    if rule is None or not all(_fits(getattr(module, n), t) for n, t in wanted.items()):
        raise BuildError(
            f"{path}: stored edits give this {type(module).__name__} another shape; they belong to "
            f"another model"
        )
    # A norm may have no weights of its own, only statistics.
    rule(module, next(t.shape for n, t in wanted.items() if n == "weight" or t.ndim))
    for name, tensor in wanted.items():
        if name in module._parameters:
            flag = module._parameters[name].requires_grad
            setattr(module, name, nn.Parameter(torch.empty_like(tensor), requires_grad=flag))
        else:
            module._buffers[name] = torch.empty_like(tensor)


def _fits(own: torch.Tensor | None, wanted: torch.Tensor) -> bool:
    """Tell whether `wanted` may be `own` without some of its channels."""
    if own is None or own.ndim != wanted.ndim or own.shape[2:] != wanted.shape[2:]:
        return False
    return all(size <= full for size, full in zip(wanted.shape, own.shape, strict=True))


def _rule(module: nn.Module) -> Callable[[Any, torch.Size], None] | None:
    """Return the function that sets a module's size attributes from the shape of its weights."""
    from torch import nn

    if isinstance(module, convolution_kinds()):
        return _conv
    if isinstance(module, nn.Linear):
        return _linear
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        return _norm
    return None


def _conv(module: Any, size: torch.Size) -> None:
    if module.groups > 1:  # depthwise: as many groups as channels
        module.groups = size[0]
    module.out_channels, module.in_channels = size[0], size[1] * module.groups


def _linear(module: Any, size: torch.Size) -> None:
    module.out_features, module.in_features = size[0], size[1]


def _norm(module: Any, size: torch.Size) -> None:
    module.num_features = size[0]


@cache
def _absent() -> type[nn.Module]:
    import torch
    from torch import nn

    class Absent(nn.Module):
        """Returns a zero for any inputs."""

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            return torch.zeros(())

    return Absent
