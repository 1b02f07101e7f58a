"""Channels are taken out of a module, and a fresh module is given the shapes of stored tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.export.state import from_arrays
from perfsuite.export.state import load as load_state
from perfsuite.passes.prune.channels import Group, Member
from perfsuite.passes.prune.sizes import is_norm, rule_of, weighted_kinds

if TYPE_CHECKING:
    import torch
    from torch import nn

Kept = Mapping[str, Sequence[int]]  # the units that stay, ascending, by the group's name


def cut(model: nn.Module, groups: Iterable[Group], kept: Kept) -> tuple[str, ...]:
    """Return the paths of modules that were removed, after cutting each group down to `kept`.

    `model` is changed in place. Where a group keeps no unit, its whole branch of a sum is removed:
    its members and the norms behind them.
    """
    import torch

    chosen = [group for group in groups if group.name in kept]
    gone = [group for group in chosen if not kept[group.name]]
    replaced = tuple(path for group in gone for path in _branch(group))
    state = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.rpartition(".")[0] not in replaced and isinstance(tensor, torch.Tensor)
    }
    lost: dict[tuple[str, int], set[int]] = {}
    for group in chosen:
        for member in group.members:
            places = lost_places(group, member, kept[group.name])
            if member.side == "size":
                _count_less(model, member.name, len(places))
            elif member.name in state:
                lost.setdefault((member.name, member.axis), set()).update(places)
    for (name, axis), gone_places in lost.items():
        stay = [place for place in range(state[name].shape[axis]) if place not in gone_places]
        state[name] = state[name].index_select(axis, torch.tensor(stay, dtype=torch.long))
    absent(model, replaced)
    shape(model, state)
    return replaced


def lost_places(group: Group, member: Member, kept: Sequence[int]) -> list[int]:
    """Return the positions of a member that go where a group keeps the units `kept`."""
    stay = set(kept)
    return [p for unit in range(group.width) if unit not in stay for p in member.places[unit]]


def channels_kept(model: nn.Module, groups: Iterable[Group], kept: Kept) -> dict[str, list[int]]:
    """Return the channels that stay of the layers and norms of groups, by path.

    `model` has not been cut yet.
    """
    lost: dict[str, tuple[int, set[int]]] = {}
    for group in groups:
        if group.name not in kept:
            continue
        for member in group.members:
            module = model.get_submodule(member.path)
            if member.side == "out" and (isinstance(module, weighted_kinds()) or is_norm(module)):
                tensor = _tensor(model, member.name)
                _, places = lost.setdefault(member.path, (tensor.shape[member.axis], set()))
                places.update(lost_places(group, member, kept[group.name]))
    return {
        path: [place for place in range(count) if place not in places]
        for path, (count, places) in lost.items()
    }


def masked(model: nn.Module, groups: Iterable[Group], kept: Kept) -> None:
    """Set the weights to zero that read channels not `kept`; `model` then answers as if cut."""
    import torch

    with torch.no_grad():
        for group in groups:
            if group.name not in kept:
                continue
            for member in group.members:
                if member.side == "in":
                    places = torch.tensor(lost_places(group, member, kept[group.name]))
                    _tensor(model, member.name).index_fill_(member.axis, places.long(), 0)
            if not kept[group.name]:
                absent(model, (*group.paths("in"), *group.after))


def set_attributes(model: nn.Module, values: Mapping[str, int]) -> None:
    """Set attributes of modules, such as `layer.groups`.

    Raises `BuildError` for a module that the model has not.
    """
    for name, value in values.items():
        path, _, attribute = name.rpartition(".")
        try:
            module = model.get_submodule(path)
        except AttributeError as error:
            raise BuildError(f"stored edits belong to another model: {error}") from error
        setattr(module, attribute, value)


def attributes_of(model: nn.Module, groups: Iterable[Group]) -> dict[str, int]:
    """Return the attributes that count channels of groups, as they are now."""
    names = [each.name for group in groups for each in group.members if each.side == "size"]
    return {name: _attribute(model, name) for name in dict.fromkeys(names)}


def _count_less(model: nn.Module, name: str, count: int) -> None:
    set_attributes(model, {name: _attribute(model, name) - count})


def _attribute(model: nn.Module, name: str) -> int:
    path, _, attribute = name.rpartition(".")
    return int(getattr(model.get_submodule(path), attribute, 0))


def _tensor(model: nn.Module, name: str) -> torch.Tensor:
    path, _, own = name.rpartition(".")
    found: torch.Tensor = getattr(model.get_submodule(path), own)
    return found


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
    _call_parts(model)


def _call_parts(model: nn.Module) -> None:
    """Have encoders of torch that miss a part call the others, in place of one kernel for all.

    That kernel reads the weights of each part; the attributes are those that torch asks for it.
    """
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer) and _misses_part(module):
            module.activation_relu_or_gelu = 0
        if isinstance(module, nn.TransformerEncoder) and _misses_part(module):
            module.use_nested_tensor = False


def _misses_part(module: nn.Module) -> bool:
    return any(map(is_absent, module.modules()))


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
        load_state(model, state)
    except RuntimeError as error:
        raise BuildError(f"stored edits belong to another model: {error}") from error


def load(model: nn.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Give the layers of `model` the shapes of NumPy arrays, and load them, as `shape` does."""
    shape(model, from_arrays(model, tensors))


def _branch(group: Group) -> tuple[str, ...]:
    return (*(member.path for member in group.members), *group.after)


def _resize(path: str, module: Any, wanted: Mapping[str, torch.Tensor]) -> None:
    import torch
    from torch import nn

    rule = rule_of(module)
    if rule is None or not all(_fits(module, n, t) for n, t in wanted.items()):
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


def _fits(module: Any, name: str, wanted: torch.Tensor) -> bool:
    """Tell whether `wanted` may be a module's tensor without some of its channels."""
    own = getattr(module, name)
    if own is None or own.ndim != wanted.ndim:
        return False
    if isinstance(module, weighted_kinds()) and own.shape[2:] != wanted.shape[2:]:
        return False
    return all(size <= full for size, full in zip(wanted.shape, own.shape, strict=True))


@cache
def _absent() -> type[nn.Module]:
    import torch
    from torch import nn

    class Absent(nn.Module):
        """Returns a zero for any inputs."""

        def forward(self, *given: torch.Tensor) -> torch.Tensor:
            return torch.zeros(())

    return Absent
