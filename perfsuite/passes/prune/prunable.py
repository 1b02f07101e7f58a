"""Which layers of a net can be pruned, and the reasons why others cannot."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.passes.prune.channels import Group, channel_groups
from perfsuite.passes.prune.surgery import is_absent
from perfsuite.passes.prune.verification import cuttable_groups
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    from torch import nn

_SAMPLES = 4  # besides the timed input, on which a cut net is tried


def prunable(
    model: nn.Module, ctx: PassContext, layers: tuple[str, ...]
) -> tuple[list[Group], dict[str, str]]:
    """Return the groups of the wanted layers that can be cut, and why other layers are in none.

    `layers` are paths of modules or patterns of such; empty means all. Raises `ConfigError` for a
    pattern that names no module, `Unsupported` where a named layer, or any at all, cannot be
    pruned.
    """
    found, left = channel_groups(model, ctx.inputs)
    wanted = [g for g in found if not layers or any(fnmatchcase(g.name, p) for p in layers)]
    groups, unsound = cuttable_groups(model, wanted, _samples(ctx))
    for group in wanted:
        if group.name in unsound:
            left |= dict.fromkeys(_layers(model, group), unsound[group.name])
    for pattern in layers:
        _check_layers(model, pattern, {group.name for group in groups}, found, left)
    if not groups:
        first = [f"{path or 'the model itself'}: {why}" for path, why in list(left.items())[:3]]
        reasons = "; ".join(first) or "it has no convolution and no linear layer"
        raise Unsupported(f"prune: no layer of {type(model).__name__} can be pruned: {reasons}")
    return groups, left


def _layers(model: nn.Module, group: Group) -> list[str]:
    """Return the convolutions and linear layers whose results are the channels of a group."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    layers = _ConvNd | nn.Linear
    return [path for path in group.paths("out") if isinstance(model.get_submodule(path), layers)]


def _check_layers(
    model: nn.Module, pattern: str, names: set[str], found: list[Group], left: dict[str, str]
) -> None:
    """Raise for a pattern without a module, or whose modules can neither be pruned nor are gone."""
    modules = dict(model.named_modules())
    named = [path for path in modules if fnmatchcase(path, pattern)]
    if not named:
        raise ConfigError(
            f"prune: layers: the model has no module '{pattern}'"
            f"{suggestion(pattern, filter(None, modules))}"
        )
    if not any(path in names or is_absent(modules[path]) for path in named):
        why = _why(pattern, {path: modules[path] for path in named}, found, left)
        raise Unsupported(f"prune: {pattern} cannot be pruned: {why}")


def _why(
    pattern: str, named: dict[str, nn.Module], found: list[Group], left: dict[str, str]
) -> str:
    """Return why none of the modules named by `pattern` gives a group its name."""
    for path in named:
        if path in left:
            return left[path]
        owner = next((group.name for group in found if path in group.paths("out")), None)
        if owner is not None:
            return f"its channels are those of {owner}; name that"
    layers = [*(group.name for group in found), *left]
    if any(fnmatchcase(path, f"{pattern}.*") for path in layers):
        return f"it is no layer; those in it are '{pattern}.*'"
    return next(
        filter(None, map(_other, named.values())), "it is no convolution and no linear layer"
    )


def _other(module: nn.Module) -> str:
    """Return why the channels of this kind of convolution are never pruned; '' for all else."""
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    if isinstance(module, _ConvTransposeNd):
        return f"it is a {type(module).__name__}: convolutions and linear layers alone are"
    if not isinstance(module, _ConvNd):
        return ""
    if module.groups == module.in_channels == module.out_channels:
        return "it is depthwise: its channels are those of the layer before it; name that"
    return f"it is a convolution in {module.groups} groups"


def _samples(ctx: PassContext) -> Iterator[Inputs]:
    """Yield the timed inputs and some other samples, for which the net may take another path."""
    yield ctx.inputs
    try:
        yield from ctx.calibration(_SAMPLES)
    except Unsupported:
        return  # the task has no others
