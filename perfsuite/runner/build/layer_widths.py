"""The width of each layer before and after model passes, read from both nets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from perfsuite.domain.record import LayerWidth

if TYPE_CHECKING:
    from torch import nn


def layer_widths(
    before: nn.Module, after: nn.Module, left: Mapping[str, str]
) -> tuple[LayerWidth, ...]:
    """Return each convolution and linear layer of `before`, in its order, and its width in `after`.

    `left` has the reasons, by path, why passes did not change layers. The result is empty if
    `after` has none of these layers, as it is another net, and if all widths are as before.
    """
    now = dict(after.named_modules())
    layers = dict(_layers(before))
    if not any(path in now for path in layers):
        return ()
    found = tuple(
        _width(path, width, now.get(path), left.get(path, "")) for path, width in layers.items()
    )
    changed = any(one.after != one.before or one.ranks for one in found)
    return found if changed else ()


def _width(path: str, before: int, module: nn.Module | None, why: str) -> LayerWidth:
    """Return the widths of what is now in a layer's place: a layer, its factors, or nothing."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    widths = [width for _, width in _layers(module)] if module is not None else []
    if isinstance(module, nn.Linear | _ConvNd):
        widths = widths[:1]  # layers inside it are no factors
    if not widths and module is not None and any(True for _ in module.parameters()):
        widths = [before]  # another kind of layer, such as a binarized one
    *ranks, after = widths or [0]
    return LayerWidth(path, before, after, tuple(ranks), why if after == before else "")


def _layers(module: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield the path of each convolution and linear layer, and its number of output channels."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    for path, part in module.named_modules():
        if isinstance(part, _ConvNd):
            yield path, part.out_channels
        elif isinstance(part, nn.Linear):
            yield path, part.out_features
