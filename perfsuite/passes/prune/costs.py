"""The multiply-accumulates of a net as a function of the widths of its groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from perfsuite.domain.task import Inputs
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.shared.layers import Layer, layers_and_macs

if TYPE_CHECKING:
    from torch import nn

Widths = Mapping[str, int]  # a group's name to the number of its channels


def costs_of(model: nn.Module, inputs: Inputs, groups: Iterable[Group]) -> Costs:
    """Return the costs of one call of `model` with `inputs`.

    They include transposed convolutions and products of matrices, whose cost pruning does not
    change here.
    """
    layers, macs = layers_and_macs(model, inputs)
    costs = Costs(layers, groups)
    costs.other_macs = max(0.0, macs - costs.macs(costs.full))
    return costs


class Costs:
    """The cost of a net whose `groups` of channels have other widths.

    `full` are the widths that they have. A group that a mapping of widths leaves out keeps its own.
    """

    def __init__(self, layers: Mapping[str, Layer], groups: Iterable[Group]) -> None:
        self.layers = layers
        self.other_macs = 0.0  # of operations outside of `layers`
        self.groups = {group.name: group for group in groups}
        # By the path of a layer: the group of its input's channels, with the inputs for each
        # channel, and the group of its result's channels.
        self.inside: dict[str, tuple[str, int]] = {}
        self.outside: dict[str, str] = {}
        for group in self.groups.values():
            for member in group.members:
                if member.path not in layers:
                    continue
                if member.side == "in":
                    self.inside[member.path] = group.name, member.repeat
                else:
                    self.outside[member.path] = group.name
                    if layers[member.path].is_grouped:
                        self.inside[member.path] = group.name, 1
        self.full = {name: group.width for name, group in self.groups.items()}

    def size(self, path: str, widths: Widths) -> tuple[int, int]:
        """Return the channels of a layer's input and result; (0, 0) if the layer is removed."""
        layer = self.layers[path]
        name, repeat = self.inside.get(path, ("", 1))
        inside = widths.get(name, self.full[name]) * repeat if name else layer.inside
        owner = self.outside.get(path, "")
        outside = widths.get(owner, self.full[owner]) if owner else layer.outside
        return (inside, outside) if inside and outside else (0, 0)

    def touched(self, name: str) -> list[Layer]:
        """Return the layers with channels of a group, in the order of their first call."""
        paths = {member.path for member in self.groups[name].members}
        return [layer for path, layer in self.layers.items() if path in paths]

    def group_macs(self, name: str, widths: Widths) -> float:
        """Return the multiply-accumulates of the layers with channels of a group."""
        return sum(layer.macs(*self.size(layer.path, widths)) for layer in self.touched(name))

    def macs(self, widths: Widths) -> float:
        """Return the multiply-accumulates of the whole net."""
        layers = sum(layer.macs(*self.size(path, widths)) for path, layer in self.layers.items())
        return layers + self.other_macs

    def channels(self, widths: Widths) -> float:
        """Return the number of channels of all groups together."""
        return float(sum(widths.get(name, full) for name, full in self.full.items()))
