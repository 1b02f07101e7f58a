"""Which convolutions of a net can be binary, what belongs to each, and why others cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.binarize.flow import Flow, followed
from perfsuite.passes.binarize.modules import Geometry, Shortcut
from perfsuite.passes.shared.invocation import call
from perfsuite.passes.shared.layers import bonds, watched
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    import torch
    from torch import nn


class Site(msgspec.Struct, frozen=True):
    """What becomes of one convolution: the norm that moves into its block, and its shortcut."""

    norm: str | None  # the path
    shortcut: Shortcut | None


class Sites(msgspec.Struct, frozen=True):
    """What a net becomes: its binary convolutions, and its activations, with their channels.

    All by path; `left` are the other convolutions and linear layers, with the reasons.
    """

    layers: dict[str, Site]
    activations: dict[str, int]
    left: dict[str, str]


class _Call(NamedTuple):
    path: str
    given: torch.Tensor
    result: torch.Tensor


def binarizable(model: nn.Module, inputs: Inputs, patterns: Sequence[str] = ()) -> Sites:
    """Return what `model` becomes, told by one call with `inputs`; it is left as it was.

    `patterns` name the only convolutions to take. Raises `ConfigError` for a pattern without a
    module, `Unsupported` if nothing can be binary, or nothing of a pattern; `BuildError` for
    weights that are not finite.
    """
    calls, flow = _called(model, inputs)
    left = _unfit(model)
    _add_ends(model, calls, flow, left)
    for path, module in _layers(model):
        if path not in left and (why := _misused(module, [c for c in calls if c.path == path])):
            left[path] = why
    taken = [path for path, _ in _layers(model) if path not in left]
    if patterns:
        _check_patterns(model, patterns, taken, left)
        taken = [path for path in taken if any(fnmatchcase(path, one) for one in patterns)]
    if not taken:
        raise Unsupported(f"binarize on {type(model).__name__}: {_nothing(left)}")
    _check_finite(model, taken)
    norms = {path: _norm_of(model, path, calls) for path in taken}
    shortcuts = _shortcuts(model, taken, flow)
    layers = {path: Site(norms[path], shortcuts[path]) for path in taken}
    return Sites(layers, _activations(model, norms, calls), left)


def geometry_of(layer: nn.Conv2d) -> Geometry | None:
    """Return how a convolution goes over its input; None if it pads unevenly."""
    high, wide = layer.kernel_size
    up, aside = layer.dilation
    whole = (up * (high - 1), aside * (wide - 1))
    if layer.padding == "same":
        if any(side % 2 for side in whole):
            return None
        padding = (whole[0] // 2, whole[1] // 2)
    elif isinstance(layer.padding, str):
        padding = (0, 0)
    else:
        padding = (int(layer.padding[0]), int(layer.padding[1]))
    stride = (int(layer.stride[0]), int(layer.stride[1]))
    return Geometry(stride, padding, (int(up), int(aside)), int(layer.groups))


def _called(model: nn.Module, inputs: Inputs) -> tuple[list[_Call], Flow]:
    """Return the calls of modules without parts, in their order, and what followed from what."""
    calls: list[_Call] = []
    leaves = {path: one for path, one in model.named_modules() if not any(one.children())}

    def note(path: str, given: torch.Tensor, result: torch.Tensor) -> None:
        calls.append(_Call(path, given, result))

    with watched(leaves, note), followed(model, dict(_layers(model))) as ended:
        return calls, ended(call(model, inputs))


def _layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | _ConvNd):
            yield path, module


def _convolution(model: nn.Module, path: str) -> Any:
    return model.get_submodule(path)


def _unfit(model: nn.Module) -> dict[str, str]:
    """Return the layers that cannot be binary by their kind, weights or hooks, and why."""
    from torch import nn

    bound, left = bonds(model), {}
    for path, module in _layers(model):
        if type(module) is not nn.Conv2d:
            left[path] = f"a {type(module).__name__}: only Conv2d becomes binary"
        elif module.groups == module.in_channels:
            left[path] = "depthwise: each sum is over the taps of one channel, too few for signs"
        elif module.padding_mode != "zeros":
            left[path] = f"it pads by '{module.padding_mode}', and signs are padded by nothing"
        elif geometry_of(module) is None:
            left[path] = "it pads one side more than the other"
        elif reason := bound(module):
            left[path] = reason
    return left


def _add_ends(model: nn.Module, calls: Sequence[_Call], flow: Flow, left: dict[str, str]) -> None:
    """Add the first and the last layers to what is left.

    These are the first and the last one of the call, all that read an input through no other layer,
    as in a net with several inputs, and all that feed an output so, as a detector's predictors.
    """
    layers = dict(_layers(model))
    paths = [one.path for one in calls if one.path in layers]
    for which, by_order, by_flow in (
        ("last", paths[-1:], flow.lasts()),
        ("first", paths[:1], flow.firsts()),
    ):
        ends = {*by_order, *by_flow}
        some = f"the {which} layer, which stays real"
        many = f"one of the {which} layers, which stay real"
        left |= dict.fromkeys(sorted(ends), some if len(ends) == 1 else many)


def _misused(module: Any, calls: Sequence[_Call]) -> str:
    """Return why a convolution cannot be binary by how it is called; '' if it can."""
    import torch

    if not calls:
        return "not called with the task's inputs"
    if any(one.given.ndim != 4 for one in calls):
        return "it is called with a picture without an axis of samples"
    if any(one.given.dtype != torch.float32 for one in calls):
        return f"it computes in {str(calls[0].given.dtype).removeprefix('torch.')}, not in float32"
    return ""


def _check_patterns(
    model: nn.Module, patterns: Sequence[str], taken: Sequence[str], left: dict[str, str]
) -> None:
    paths = [path for path, _ in model.named_modules()]
    for pattern in patterns:
        here = [path for path in paths if fnmatchcase(path, pattern)]
        if not here:
            near = suggestion(pattern, filter(None, paths))
            raise ConfigError(f"binarize: layers: the model has no module '{pattern}'{near}")
        if not set(here).intersection(taken):
            why = (left[path] for path in here if path in left)
            raise Unsupported(
                f"binarize: {pattern} cannot be binary: {next(why, 'it is no convolution')}"
            )


def _nothing(left: dict[str, str]) -> str:
    if not left:
        return "it has no convolution"
    said = [f"{path or 'the model itself'}: {why}" for path, why in list(left.items())[:3]]
    more = f"; and {len(left) - 3} more" if len(left) > 3 else ""
    return f"none of its layers can be binary: {'; '.join(said)}{more}"


def _check_finite(model: nn.Module, paths: Sequence[str]) -> None:
    for path in paths:
        weight: Any = model.get_submodule(path).weight
        if not bool(weight.isfinite().all()):
            raise BuildError(
                f"binarize: {path}.weight has NaN or infinite values; check the model's weights"
            )


def _norm_of(model: nn.Module, path: str, calls: Sequence[_Call]) -> str | None:
    """Return the batch normalization that takes each result of a convolution, and nothing else."""
    from torch import nn

    results = [one.result for one in calls if one.path == path]
    norms = [one for one in calls if isinstance(model.get_submodule(one.path), nn.BatchNorm2d)]
    found = {one.path for one in norms if any(one.given is result for result in results)}
    if len(found) != 1:
        return None
    (norm,) = found
    same = [one.given for one in norms if one.path == norm]
    if len(same) != len(results):
        return None
    return norm


def _shortcuts(model: nn.Module, taken: Sequence[str], flow: Flow) -> dict[str, Shortcut | None]:
    """Return the shortcut around each convolution; None where the net has one around it already.

    Of two that are beside each other, and added, the one that is called first gets it for both.
    """
    found: dict[str, Shortcut | None] = dict.fromkeys(taken)

    def passes(path: str) -> bool:
        return found.get(path) is not None if path in found else True

    for path in dict.fromkeys((*flow.calls, *taken)):
        if path in found and (made := _shortcut(_convolution(model, path))) is not None:
            found[path] = None if flow.bypassed(path, passes) else made
    return found


def _shortcut(layer: nn.Conv2d) -> Shortcut | None:
    """Return the shortcut around a convolution; None if its input cannot have its result's shape.

    Pictures that become smaller are averaged; channels that become more are repeated.
    """
    geometry = geometry_of(layer)
    if geometry is None or layer.out_channels % layer.in_channels:
        return None
    reach = [by * (side - 1) for by, side in zip(geometry.dilation, layer.kernel_size, strict=True)]
    if [2 * side for side in geometry.padding] != reach:  # else a stride of s gives ceil(side / s)
        return None
    return Shortcut(geometry.stride, layer.out_channels // layer.in_channels)


def _activations(
    model: nn.Module, norms: dict[str, str | None], calls: Sequence[_Call]
) -> dict[str, int]:
    """Return the ReLUs that follow binary convolutions, each time and with as many channels."""
    from torch import nn

    ends = {norm or path for path, norm in norms.items()}
    found: dict[str, set[int]] = {}
    others: set[str] = set()
    before = ""
    for one in calls:
        module = model.get_submodule(one.path)
        if isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d):
            continue
        if type(module) in (nn.ReLU, nn.ReLU6):
            if before in ends and one.given.ndim == 4:
                found.setdefault(one.path, set()).add(int(one.given.shape[1]))
            else:
                others.add(one.path)
        before = one.path
    return {
        path: next(iter(widths))
        for path, widths in found.items()
        if len(widths) == 1 and path not in others
    }
