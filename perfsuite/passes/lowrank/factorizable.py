"""Which layers of a net can be factorized, and the reasons why others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.lowrank.factor_modules import Method
from perfsuite.passes.lowrank.trial import unfaithful
from perfsuite.passes.shared.invocation import call
from perfsuite.passes.shared.layers import Layer, bonds, layers_and_macs
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass
class Factorizable:
    """The layers of a net that can be factorized, and the others with the reason, by path.

    `macs` are the multiply-accumulates of everything in one call of the net.
    """

    layers: list[Layer]
    left: dict[str, str]
    macs: int


def factorizable(model: nn.Module, samples: Sequence[Inputs], method: Method) -> Factorizable:
    """Return the layers of `model` that can be factorized, tried in calls with `samples`.

    The first of these are the inputs that are timed. `model` is left as it was. Raises
    `BuildError` for weights that are not finite.
    """
    left = _unfit(model)
    for path, module in model.named_modules():
        if path not in left and isinstance(module, _kinds()):
            _check_finite(path, module)
    called, macs = layers_and_macs(model, samples[0])
    layers = {}
    for path, module in model.named_modules():
        if path in left or not isinstance(module, _kinds()):
            continue
        layer = called.get(path)
        if layer is not None and layer.macs(layer.inside, layer.outside):
            layers[path] = layer
        else:
            left[path] = "not called with the task's inputs"
    for path, reason in unfaithful(model, list(layers.values()), method, samples).items():
        del layers[path]
        left[path] = reason
    return Factorizable(list(layers.values()), left, macs)


def limited(model: nn.Module, found: Factorizable, patterns: Sequence[str]) -> Factorizable:
    """Return what was found, without the layers that none of the patterns names.

    Raises `ConfigError` for a pattern without a module, `Unsupported` for one of which nothing can
    be factorized.
    """
    paths = [path for path, _ in model.named_modules()]
    for pattern in patterns:
        here = [path for path in paths if fnmatchcase(path, pattern)]
        if not here:
            near = suggestion(pattern, filter(None, paths))
            raise ConfigError(f"lowrank: layers: the model has no module '{pattern}'{near}")
        if not {layer.path for layer in found.layers}.intersection(here):
            why = (found.left[path] for path in here if path in found.left)
            raise Unsupported(
                f"lowrank: {pattern} cannot be factorized: "
                f"{next(why, 'it is no linear layer and no convolution')}"
            )
    kept = [one for one in found.layers if any(fnmatchcase(one.path, p) for p in patterns)]
    return Factorizable(kept, found.left, found.macs)


def _kinds() -> tuple[type[nn.Module], ...]:
    from torch import nn

    return nn.Linear, nn.Conv2d


def _check_finite(path: str, module: nn.Module) -> None:
    weight: Any = module.weight
    if not bool(weight.isfinite().all()):
        raise BuildError(
            f"lowrank: {path}.weight has NaN or infinite values; check the model's weights"
        )


def check_answers(model: nn.Module, inputs: Inputs, before: Sequence[torch.Tensor]) -> None:
    """Raise `BuildError` unless answers have as many dimensions as `before`, and are as finite."""
    after = call(model, inputs)
    if [tensor.ndim for tensor in after] != [tensor.ndim for tensor in before]:
        raise BuildError(
            f"lowrank: {type(model).__name__} answers tensors of shape "
            f"{[tuple(tensor.shape) for tensor in after]} with its layers factorized, and "
            f"{[tuple(tensor.shape) for tensor in before]} without"
        )
    if not all(map(_is_as_finite, after, before)):
        raise BuildError(
            f"lowrank: {type(model).__name__} answers NaN or infinite values with its layers "
            f"factorized; keep more of them (a higher energy or macs, or a lower speedup)"
        )


def _is_as_finite(after: torch.Tensor, before: torch.Tensor) -> bool:
    """Tell whether values are infinite only where, and as, those before are: masks are."""
    if bool(after.isfinite().all()):
        return True
    return after.shape == before.shape and bool((after.isfinite() | (after == before)).all())


def _unfit(model: nn.Module) -> dict[str, str]:
    """Return the layers that cannot be factorized by their kind, weights or hooks, and why."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    bound, left = bonds(model), {}
    for path, module in model.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Linear | _ConvNd):
            continue
        if type(module) not in _kinds():
            left[path] = f"a {type(module).__name__}: only Linear and Conv2d are factorized"
        elif getattr(module, "groups", 1) != 1:
            left[path] = "grouped"
        elif reason := bound(module):
            left[path] = reason
    return left
