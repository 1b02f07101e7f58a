"""Which modules can be given tensors of other sizes, and the numbers that they have of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfsuite.passes.prune.heads import can_lose_heads, with_heads

if TYPE_CHECKING:
    import torch
    from torch import nn


def weighted_kinds() -> tuple[type[Any], ...]:
    """Return the modules that give channels: linear layers and all kinds of convolutions."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    return nn.Linear, _ConvNd


def is_norm(module: object) -> bool:
    """Tell whether a module normalizes each channel by itself."""
    from torch.nn.modules.batchnorm import _NormBase
    from torchvision.ops import FrozenBatchNorm2d

    return isinstance(module, _NormBase | FrozenBatchNorm2d)


def rule_of(module: nn.Module) -> Callable[[Any, torch.Size], None] | None:
    """Return the function that sets a module's numbers from the shape of its weights.

    None for a module of torch's own that cannot have another size. A user's module has no numbers
    that are known.
    """
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.conv import _ConvNd

    rules: tuple[tuple[Any, Callable[[Any, torch.Size], None]], ...] = (
        (_ConvNd, _convolution),
        (nn.Linear, _linear),
        (_NormBase, _norm),
        (nn.GroupNorm, _group_norm),
        (nn.PReLU, _prelu),
        (nn.Embedding, _embedding),
    )
    for kind, rule in rules:
        if isinstance(module, kind):
            return rule
    if can_lose_heads(module):
        return with_heads
    own = type(module).__module__.startswith("torch.")
    return None if own and not isinstance(module, _containers()) else _nothing


def _containers() -> tuple[type[Any], ...]:
    from torch import nn

    return nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict


def why_fixed(model: nn.Module) -> dict[str, str]:
    """Return why parameters and buffers must keep their shapes, by name.

    They are shared, computed of others, not stored, or a module of torch's has them that cannot
    have another size.
    """
    found: dict[str, str] = {}
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name)
    for names in owners.values():
        for name in names if len(names) > 1 else ():
            other = next(each for each in names if each != name).rpartition(".")[0]
            found[name] = f"its weights are also those of {other}"
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        computed = hasattr(module, "parametrizations") or (
            (isinstance(module, weighted_kinds()) or is_norm(module))
            and "weight" not in module._parameters
            and "weight" not in module._buffers
        )
        if computed:
            why = "its weights are computed of others: remove the parametrization in build()"
            found |= {prefix + name: why for name, _ in module.named_parameters()}
            found[f"{prefix}weight"] = why
        elif rule_of(module) is None:
            why = f"it is a {type(module).__name__}, which keeps its size"
            found |= {prefix + name: why for name in (*module._parameters, *module._buffers)}
        for name in module._non_persistent_buffers_set:
            found[prefix + name] = f"its buffer {name} is not stored (persistent=False)"
    return found


def _convolution(module: Any, size: torch.Size) -> None:
    if module.groups == module.in_channels == module.out_channels:
        module.groups = size[0]  # depthwise: as many groups as channels
    sides = size[0], size[1] * module.groups
    if module.transposed:
        module.in_channels, module.out_channels = sides
    else:
        module.out_channels, module.in_channels = sides


def _linear(module: Any, size: torch.Size) -> None:
    module.out_features, module.in_features = size[0], size[1]


def _norm(module: Any, size: torch.Size) -> None:
    module.num_features = size[0]


def _group_norm(module: Any, size: torch.Size) -> None:
    module.num_channels = size[0]


def _prelu(module: Any, size: torch.Size) -> None:
    module.num_parameters = size[0]


def _embedding(module: Any, size: torch.Size) -> None:
    module.embedding_dim = size[1]


def _nothing(module: Any, size: torch.Size) -> None:
    """A module of a user's has no numbers that are known; those of a size are edits."""
