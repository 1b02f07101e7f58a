"""The width of each layer before and after model passes, read from both nets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from perfsuite.domain.recipe import Edits, ModelPass, replaces_model
from perfsuite.domain.record import LayerWidth
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn


class AppliedPass(NamedTuple):
    """A model pass, the edits that it found, and its name in messages."""

    pass_: ModelPass
    edits: Edits
    name: str


Applied = Sequence[AppliedPass]


def widths_after(
    applied: Applied, edited: Callable[[Applied], nn.Module]
) -> tuple[LayerWidth, ...]:
    """Return the widths of layers before and after model passes; empty without such.

    `edited` gives the model after some of them. If one puts another net in the place of the model,
    that net is the one before: its layers have nothing to do with those of the model.
    """
    kept = max((at for at, one in enumerate(applied, 1) if replaces_model(one.pass_)), default=0)
    if len(applied) == kept:
        return ()
    left = reasons_left(applied[kept:])
    return layer_widths(edited(applied[:kept]), edited(applied), left)


def reasons_left(applied: Applied) -> dict[str, str]:
    """Return why passes left layers alone, by path.

    Where several passes have a reason of their own, all stand there, each after its pass's name.
    """
    said: dict[str, dict[str, str]] = {}
    for pass_, edits, name in applied:
        with user_code(f"{type(pass_).__name__}: what it left alone"):
            left = msgspec.convert(edits.data.get("left", {}), dict[str, str])
        for path, why in left.items():
            said.setdefault(path, {}).setdefault(why, name)
    return {
        path: next(iter(reasons))
        if len(reasons) == 1
        else "; ".join(f"{name}: {why}" for why, name in reasons.items())
        for path, reasons in said.items()
    }


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
    unchanged = after == before and not ranks
    return LayerWidth(path, before, after, tuple(ranks), why if unchanged else "")


def _layers(module: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield the path of each convolution and linear layer, and its number of output channels."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    for path, part in module.named_modules():
        if isinstance(part, _ConvNd):
            yield path, part.out_channels
        elif isinstance(part, nn.Linear):
            yield path, part.out_features
