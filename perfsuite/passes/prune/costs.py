"""What layers cost at other widths, in multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.shared.invocation import call

if TYPE_CHECKING:
    from torch import nn

Widths = Mapping[str, int]  # a group's name to the number of its channels
Shape = tuple[int, ...]


class Layer:
    """A convolution or linear layer, and of each call the shapes of what goes in and comes out."""

    def __init__(
        self, path: str, module: Any, shapes: Sequence[Shape], results: Sequence[Shape]
    ) -> None:
        self.path, self.module, self.shapes, self.results = path, module, shapes, results
        self.depthwise = getattr(module, "groups", 1) > 1
        self.inside, self.outside = int(module.weight.shape[1]), int(module.weight.shape[0])
        if self.depthwise:
            self.inside = self.outside

    @property
    def is_linear(self) -> bool:
        return not hasattr(self.module, "kernel_size")

    def settings(self) -> tuple[object, ...]:
        """Return all that decides on its time beside its widths."""
        m = self.module
        names = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
        shapes = tuple(self._without_channels(shape) for shape in self.shapes)
        return (type(m), self.depthwise, *(getattr(m, name, None) for name in names), shapes)

    def _without_channels(self, shape: Shape) -> Shape:
        return shape[:-1] if self.is_linear else shape[:1] + shape[2:]

    def macs(self, inside: int, outside: int) -> float:
        """Return the multiply-accumulates of all calls at other widths."""
        area = self.module.weight[0, 0].numel()
        # In a grouped convolution a result is made of one group's channels alone.
        each = area * outside * (self.module.weight.shape[1] if self.depthwise else inside)
        # At how many places the weights are applied, the batch included.
        places = (np.prod(self._without_channels(shape)) for shape in self.results)
        return float(each * sum(places))


def layers_of(model: nn.Module, inputs: Inputs) -> dict[str, Layer]:
    """Return the convolutions and linear layers that a call of `model` uses, by path."""
    from torch import nn

    shapes: dict[str, list[tuple[Shape, Shape]]] = {}
    hooks = []
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    found = {path: m for path, m in model.named_modules() if isinstance(m, kinds)}
    for path, module in found.items():

        def record(
            _: nn.Module, given: tuple[Any, ...], named: dict[str, Any], out: Any, path: str = path
        ) -> None:
            first = given[0] if given else named["input"]
            shapes.setdefault(path, []).append((tuple(first.shape), tuple(out.shape)))

        hooks.append(module.register_forward_hook(record, with_kwargs=True))
    try:
        call(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        path: Layer(path, found[path], *map(list, zip(*seen, strict=True)))
        for path, seen in shapes.items()
    }


def costs_of(model: nn.Module, inputs: Inputs, groups: Iterable[Group]) -> Costs:
    """Return the costs of a call, with all that multiplies beside the layers that are pruned.

    These are transposed convolutions and products of matrices, as torch counts them; they stay.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        costs = Costs(layers_of(model, inputs), groups)
    costs.other_macs = max(0.0, counter.get_total_flops() / 2 - costs.macs(costs.full))
    return costs


class Costs:
    """The layers of a model as functions of its groups' widths."""

    def __init__(self, layers: Mapping[str, Layer], groups: Iterable[Group]) -> None:
        self.layers = layers
        self.other_macs = 0.0  # of what is no such layer
        self.groups = {group.name: group for group in groups}
        self.inside: dict[str, tuple[str, int]] = {}  # a layer to its group and repeat
        self.outside: dict[str, str] = {}
        for group in self.groups.values():
            for member in group.members:
                if member.path not in layers:
                    continue
                if member.side == "in":
                    self.inside[member.path] = group.name, member.repeat
                else:
                    self.outside[member.path] = group.name
                    if layers[member.path].depthwise:
                        self.inside[member.path] = group.name, 1
        self.full = {name: group.width for name, group in self.groups.items()}

    def size(self, path: str, widths: Widths) -> tuple[int, int]:
        """Return the widths of a layer; (0, 0) where it is gone."""
        layer = self.layers[path]
        name, repeat = self.inside.get(path, ("", 1))
        inside = widths.get(name, self.full[name]) * repeat if name else layer.inside
        owner = self.outside.get(path, "")
        outside = widths.get(owner, self.full[owner]) if owner else layer.outside
        return (inside, outside) if inside and outside else (0, 0)

    def touched(self, name: str) -> list[Layer]:
        """Return the layers whose size depends on a group, in the order of their first call."""
        paths = {member.path for member in self.groups[name].members}
        return [layer for path, layer in self.layers.items() if path in paths]

    def group_macs(self, name: str, widths: Widths) -> float:
        """Return the MACs of the layers whose size depends on a group."""
        return sum(layer.macs(*self.size(layer.path, widths)) for layer in self.touched(name))

    def macs(self, widths: Widths) -> float:
        """Return the MACs of all layers, and of all else that multiplies."""
        layers = sum(layer.macs(*self.size(path, widths)) for path, layer in self.layers.items())
        return layers + self.other_macs

    def channels(self, widths: Widths) -> float:
        """Return the number of channels that could be pruned and are there."""
        return float(sum(widths.get(name, full) for name, full in self.full.items()))
