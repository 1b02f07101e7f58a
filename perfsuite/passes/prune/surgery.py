"""Taking channels out of a module, and giving a fresh module the shapes of stored tensors."""

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
Kept = Mapping[str, Sequence[int]]  # a group's name to the channels that stay, ascending


def cut(model: nn.Module, groups: Iterable[Group], kept: Kept) -> tuple[str, ...]:
    """Leave only the channels `kept` of each group; return the paths of modules now replaced.

    `model` is changed in place. A group that keeps nothing takes its branch of a sum with it.
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
    """Let what reads the channels not `kept` take them for zero: `model` then answers as `cut`."""
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
    """Replace modules by one that gives zero: what is added to it stays as it is.

    Raises `BuildError` for a module that is not there: the paths are those of another model.
    """
    for path in paths:
        parent, _, name = path.rpartition(".")
        try:
            model.get_submodule(path)
        except AttributeError as error:
            raise BuildError(f"stored edits belong to another model: {error}") from error
        setattr(model.get_submodule(parent), name, _absent()())


def is_absent(module: nn.Module) -> bool:
    """Return whether this is what stands for a module that was taken out."""
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
    """Do what `shape` does, with NumPy arrays."""
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
    """Return the inputs of a linear layer that come of `channels`."""
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
    """Return whether `wanted` is `own` without some of its channels."""
    if own is None or own.ndim != wanted.ndim or own.shape[2:] != wanted.shape[2:]:
        return False
    return all(size <= full for size, full in zip(wanted.shape, own.shape, strict=True))


def _rule(module: nn.Module) -> Callable[[Any, torch.Size], None] | None:
    """Return what tells a module of this kind the shape of its weights."""
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
        """Gives zero, whatever it is given."""

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            return torch.zeros(())

    return Absent
