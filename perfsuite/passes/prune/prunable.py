"""Which layers of a net can be pruned, and the reasons why others cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.passes.prune.channels import Channels, Group
from perfsuite.passes.prune.surgery import is_absent
from perfsuite.passes.prune.verification import cuttable_groups
from perfsuite.passes.shared.layers import why_no_layers
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    from torch import nn

_REASONS = 3  # that an error names
_SAMPLES = 4  # besides the timed input, on which a cut net is tried


def prunable(
    model: nn.Module, ctx: PassContext, layers: tuple[str, ...]
) -> tuple[list[Group], dict[str, str]]:
    """Return the groups of the wanted layers that can be cut, and why other layers are in none.

    `layers` are paths of modules or patterns of such; empty means all. Raises `ConfigError` for a
    pattern that names no module, `Unsupported` where a named layer, or any at all, cannot be
    pruned.
    """
    channels = Channels(model, ctx.inputs)
    found, left = channels.groups()
    wanted = [g for g in found if not layers or any(fnmatchcase(g.layer, p) for p in layers)]
    samples = list(_samples(ctx))
    groups, unsound = cuttable_groups(model, wanted, samples)
    groups, unsound = _otherwise(model, channels, groups, unsound, samples)
    names = {group.name for group in wanted if group.name in unsound}
    for group in wanted:
        if group.name in names:
            left |= dict.fromkeys(_layers(model, group), unsound[group.name])
    for pattern in layers:
        _check_layers(model, pattern, {group.layer for group in groups}, found, left)
    if not groups:
        reasons = _reasons(left) or why_no_layers(model)
        raise Unsupported(f"prune: no layer of {type(model).__name__} can be pruned: {reasons}")
    return groups, left


def _otherwise(
    model: nn.Module,
    channels: Channels,
    groups: list[Group],
    unsound: dict[str, str],
    samples: list[Inputs],
) -> tuple[list[Group], dict[str, str]]:
    """Return more groups, of those whose channels a net's code cuts up in another way than thought.

    Whole rows may go instead of as many columns of each, and attributes may be the numbers of them.
    """
    for outer, counted in ((False, True), (True, True), (True, False)):
        waiting = {name for name in unsound if channels.has_forms(name.partition("#")[0])}
        if not waiting:
            break
        names = {name.partition("#")[0] for name in waiting}
        others, _ = channels.groups(names if outer else (), names if counted else ())
        have = {group.name for group in groups}
        new = [g for g in others if g.name in waiting and g.name not in have]
        sound, _ = cuttable_groups(model, new, samples)
        good, _ = cuttable_groups(model, [*groups, *sound], samples) if sound else (groups, {})
        if len(good) > len(groups) and have <= {group.name for group in good}:
            groups = good
            unsound = {n: why for n, why in unsound.items() if n not in {g.name for g in good}}
    order = list(dict(model.named_modules()))
    return sorted(groups, key=lambda group: order.index(group.layer)), unsound


def _reasons(left: dict[str, str]) -> str:
    """Return the commonest reasons why layers are left, with one layer that has each."""
    common = Counter(left.values()).most_common(_REASONS)
    return "; ".join(
        f"{next(path for path, each in left.items() if each == why) or 'the model itself'}"
        f"{f' and {count - 1} more' if count > 1 else ''}: {why}"
        for why, count in common
    )


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
    return "it is no convolution and no linear layer"


def _samples(ctx: PassContext) -> Iterator[Inputs]:
    """Yield the timed inputs and some other samples, for which the net may take another path."""
    yield ctx.inputs
    try:
        yield from ctx.calibration(_SAMPLES)
    except Unsupported:
        return  # the task has no others
