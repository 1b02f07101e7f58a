"""The torch modules of a factorized layer: a sequence of smaller layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from perfsuite.passes.lowrank import factorization

if TYPE_CHECKING:
    from torch import nn

Method = Literal["tucker", "cp"]
Kind = Literal["matrix", "tucker", "cp"]
Ranks = tuple[int, ...]  # (r,) of a matrix and of CP, (ro, ri) of Tucker-2


def kind_of(layer: nn.Module, method: Method) -> Kind:
    """Return how a layer is factorized: a linear layer and a 1x1 convolution, as a matrix."""
    kernel = getattr(layer, "kernel_size", (1, 1))
    return "matrix" if set(kernel) == {1} else method


def sequence(layer: nn.Module, ranks: Ranks, method: Method) -> nn.Sequential:
    """Return the layers that can replace `layer`, a `Linear` or a `Conv2d`, with random weights.

    They are called `reduce`, `core` (or `vertical` and `horizontal`) and `restore`. The spatial
    ones have the stride, padding and dilation, the last one has the bias.
    """
    import torch
    from torch import nn

    kind = kind_of(layer, method)
    if isinstance(layer, nn.Linear):
        parts = _linear(layer, ranks[0])
    elif not isinstance(layer, nn.Conv2d):
        raise TypeError(f"neither Linear nor Conv2d: {type(layer).__name__}")
    elif kind == "matrix":
        parts = _pointwise(layer, ranks[0])
    elif kind == "tucker":
        parts = _tucker(layer, ranks[0], ranks[1])
    else:
        parts = _cp(layer, ranks[0])
    made = nn.Sequential(OrderedDict(parts))
    weight = layer.weight
    if not isinstance(weight, torch.Tensor):
        raise TypeError(f"{type(layer).__name__} has no weight")
    return made.to(weight.device, weight.dtype).train(layer.training)


def weights(layer: nn.Module, ranks: Ranks, method: Method) -> dict[str, np.ndarray]:
    """Return the weights of the `sequence` that approximates `layer`, by name, in float64."""
    weight = array_of(layer)
    kind = kind_of(layer, method)
    if kind == "matrix":
        restore, reduce = factorization.low_rank(factorization.unfold(weight, 0), ranks[0])
        parts = {"reduce": reduce, "restore": restore}
    elif kind == "tucker":
        reduce, core, restore = factorization.tucker2(weight, (ranks[0], ranks[1]))
        parts = {"reduce": reduce, "core": core, "restore": restore}
    else:
        found = factorization.cp(weight, ranks[0])._asdict()
        parts = {name: found[name] for name in ("reduce", "vertical", "horizontal", "restore")}
    return {f"{name}.weight": value for name, value in parts.items()}


def fill(made: nn.Sequential, layer: nn.Module, values: Mapping[str, np.ndarray]) -> nn.Sequential:
    """Return `made`, a `sequence`, with the given weights and the bias of `layer`."""
    import torch

    state = made.state_dict()
    # Copied, because an axis of length 1 may have a negative stride, which torch refuses.
    filled = {
        name: torch.from_numpy(value.copy(order="C")).reshape(state[name].shape)
        for name, value in values.items()
    }
    if isinstance(layer.bias, torch.Tensor):
        filled["restore.bias"] = layer.bias.detach()
    made.load_state_dict(filled, strict=True)
    return made


def array_of(layer: nn.Module) -> np.ndarray:
    """Return the weight of `layer` in float64."""
    import torch

    weight = layer.weight
    if not isinstance(weight, torch.Tensor):
        raise TypeError(f"{type(layer).__name__} has no weight")
    array: np.ndarray = weight.detach().cpu().double().contiguous().numpy()
    return array


def replace(model: nn.Module, path: str, new: nn.Module) -> nn.Module:
    """Return `model` with the module at `path` replaced; the empty path is the model itself."""
    if not path:
        return new
    model.set_submodule(path, new)
    return model


def macs(layer: nn.Module, ranks: Ranks, method: Method, given: Ranks, got: Ranks) -> int:
    """Return the multiply-accumulates of a `sequence` for an input and output of these shapes."""
    from torch import nn

    if isinstance(layer, nn.Linear):
        return int(np.prod(got[:-1])) * ranks[0] * (layer.in_features + layer.out_features)
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"neither Linear nor Conv2d: {type(layer).__name__}")
    before, after = given[0] * given[2] * given[3], got[0] * got[2] * got[3]
    ends = layer.in_channels, layer.out_channels
    kind, (high, wide) = kind_of(layer, method), layer.kernel_size
    if kind == "matrix":
        return after * ranks[0] * sum(ends)
    if kind == "tucker":
        inner = ranks[0] * ranks[1] * high * wide
        return before * ends[0] * ranks[1] + after * (inner + ranks[0] * ends[1])
    between = got[0] * got[2] * given[3]  # places after the vertical kernel and its stride
    per_rank = before * ends[0] + between * high + after * (wide + ends[1])
    return ranks[0] * per_rank


def largest_ranks(layer: nn.Module, method: Method) -> Ranks:
    """Return the ranks at which nothing is lost; for CP, an upper bound of the rank of a weight."""
    rows, columns, *kernel = array_of(layer).shape
    kind = kind_of(layer, method)
    if kind == "matrix":
        return (min(rows, columns),)
    if kind == "tucker":
        return rows, columns
    return (min(rows, columns) * int(np.prod(kernel)),)


def _linear(layer: nn.Linear, rank: int) -> list[tuple[str, nn.Module]]:
    from torch import nn

    return [
        ("reduce", nn.Linear(layer.in_features, rank, bias=False)),
        ("restore", nn.Linear(rank, layer.out_features, bias=layer.bias is not None)),
    ]


def _pointwise(layer: nn.Conv2d, rank: int) -> list[tuple[str, nn.Module]]:
    # The stride is in the first layer, so that skipped places are not computed.
    reduce = _spatial(layer, layer.in_channels, rank, (True, True))
    return [("reduce", reduce), ("restore", _restore(layer, rank))]


def _tucker(layer: nn.Conv2d, out_rank: int, in_rank: int) -> list[tuple[str, nn.Module]]:
    return [
        ("reduce", _reduce(layer, in_rank)),
        ("core", _spatial(layer, in_rank, out_rank, (True, True))),
        ("restore", _restore(layer, out_rank)),
    ]


def _cp(layer: nn.Conv2d, rank: int) -> list[tuple[str, nn.Module]]:
    return [
        ("reduce", _reduce(layer, rank)),
        ("vertical", _spatial(layer, rank, rank, (True, False), rank)),
        ("horizontal", _spatial(layer, rank, rank, (False, True), rank)),
        ("restore", _restore(layer, rank)),
    ]


def _reduce(layer: nn.Conv2d, rank: int) -> nn.Conv2d:
    from torch import nn

    return nn.Conv2d(layer.in_channels, rank, 1, bias=False)


def _restore(layer: nn.Conv2d, rank: int) -> nn.Conv2d:
    from torch import nn

    return nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)


def _spatial(
    layer: nn.Conv2d, inner: int, outer: int, along: tuple[bool, bool], groups: int = 1
) -> nn.Conv2d:
    """Return a convolution with the geometry of `layer` along the axes (height, width) `along`.

    Along the other axes it is 1 wide. It pads as `layer` does: no layer before it has a bias, so
    zeros are still zeros there, and other paddings only repeat pixels.
    """
    from torch import nn

    def take(pair: tuple[int, ...], otherwise: int) -> tuple[int, int]:
        high, wide = (own if on else otherwise for own, on in zip(pair, along, strict=True))
        return high, wide

    padding = layer.padding
    return nn.Conv2d(
        inner,
        outer,
        take(layer.kernel_size, 1),
        stride=take(layer.stride, 1),
        padding=padding if isinstance(padding, str) else take(padding, 0),
        dilation=take(layer.dilation, 1),
        groups=groups,
        bias=False,
        padding_mode=layer.padding_mode,
    )
