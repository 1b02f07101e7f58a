"""The multiply-accumulates of a net as a function of the widths of its groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.domain.task import Inputs
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.prune.heads import can_lose_heads
from perfsuite.passes.shared.invocation import call
from perfsuite.passes.shared.layers import Layer, layers_and_macs

if TYPE_CHECKING:
    from torch import nn

Widths = Mapping[str, int]  # a group's name to the number of its channels


def costs_of(model: nn.Module, inputs: Inputs, groups: Iterable[Group]) -> Costs:
    """Return the costs of one call of `model` with `inputs`.

    They include products of activations, whose cost pruning does not change here.
    """
    layers, macs = layers_and_macs(model, inputs)
    costs = Costs(layers, groups, _further(model, inputs))
    costs.other_macs = max(0.0, macs - costs.macs(costs.full))
    return costs


def _further(model: nn.Module, inputs: Inputs) -> dict[str, Weight]:
    """Return the weights that are not those of layers: of transposed convolutions and attention."""
    from torch.nn.modules.conv import _ConvTransposeNd

    found: dict[str, Weight] = {}

    def add(name: str, places: int) -> None:
        weight = model.get_parameter(name)
        before = found[name].macs if name in found else 0
        found[name] = Weight(before + weight.numel() * places, weight.shape[0], weight.shape[1])

    def note(path: str, given: Any) -> None:
        module = model.get_submodule(path)
        if can_lose_heads(module):
            places = given[0].numel() // given[0].shape[-1]
            add(f"{path}.in_proj_weight", places)
            add(f"{path}.out_proj.weight", places)
        else:
            add(f"{path}.weight", given[0].numel() // given[0].shape[1])

    with ExitStack() as hooks:
        for path, module in model.named_modules():
            if path and (isinstance(module, _ConvTransposeNd) or can_lose_heads(module)):
                hook = partial(_noted, note, path)
                handle = module.register_forward_pre_hook(hook, with_kwargs=True)
                hooks.callback(handle.remove)
        call(model, inputs)
    return found


def _noted(note: Any, path: str, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    note(path, given or (named.get("query", named.get("input")),))


class Weight(NamedTuple):
    """The multiply-accumulates by a weight, which go with the first two of its sides."""

    macs: int
    rows: int
    columns: int


class Costs:
    """The cost of a net whose `groups` of channels have other widths.

    `full` are the widths that they have. A group that a mapping of widths leaves out keeps its own.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        groups: Iterable[Group],
        further: Mapping[str, Weight] = {},
    ) -> None:
        self.layers, self.further = layers, further
        self.other_macs = 0.0  # of operations outside of `layers`
        # As they are now: the modules may be cut later.
        self.sides = {path: tuple(layer.module.weight.shape[:2]) for path, layer in layers.items()}
        self.all_macs = {
            path: each.macs(each.inside, each.outside) for path, each in layers.items()
        }
        self.divided = {path: getattr(layer.module, "groups", 1) for path, layer in layers.items()}
        self.groups = {group.name: group for group in groups}
        # By the path of a layer and what of it: the groups that have places there, and how many
        # each unit has. Of the weights' axes, 0 is that of the result, 1 that of the input.
        self.shares: dict[tuple[str, int | str], list[tuple[str, int]]] = {}
        for group in self.groups.values():
            for member in group.members:
                path, _, name = member.name.rpartition(".")
                share = group.name, member.repeat
                if path in layers and name in ("weight", "groups"):
                    what: int | str = member.axis if name == "weight" else name
                    self.shares.setdefault((path, what), []).append(share)
                elif member.name in further:
                    self.shares.setdefault((member.name, member.axis), []).append(share)
        self.full = {name: group.width for name, group in self.groups.items()}
        # The channels of a unit, in the first layer that gives them.
        self.each = {
            name: next(m.repeat for m in group.members if m.side == "out" and m.path == group.layer)
            for name, group in self.groups.items()
        }

    def size(self, path: str, widths: Widths) -> tuple[int, int]:
        """Return the channels of a layer's input and result; (0, 0) if the layer is removed."""
        outside, columns = self._sides(path, widths)
        inside = columns * self.parts(path, widths)
        return (inside, outside) if inside and outside else (0, 0)

    def parts(self, path: str, widths: Widths) -> int:
        """Return the number of groups of a convolution; 1 of other layers."""
        return self._less(path, "groups", self.divided[path], widths)

    def _sides(self, path: str, widths: Widths) -> tuple[int, int]:
        """Return the first two sides of a layer's weights."""
        rows, columns = self.sides[path]
        return self._less(path, 0, rows, widths), self._less(path, 1, columns, widths)

    def _less(self, path: str, what: int | str, full: int, widths: Widths) -> int:
        shares = self.shares.get((path, what), [])
        if any(not widths.get(name, 1) for name, _ in shares):
            return 0  # the whole branch is removed
        return full - sum(
            count * (self.full[name] - widths.get(name, self.full[name])) for name, count in shares
        )

    def touched(self, name: str) -> list[Layer]:
        """Return the layers with channels of a group, in the order of their first call."""
        paths = {member.path for member in self.groups[name].members}
        return [layer for path, layer in self.layers.items() if path in paths]

    def group_macs(self, name: str, widths: Widths) -> float:
        """Return the multiply-accumulates of the layers with channels of a group."""
        return sum(self._macs(layer, widths) for layer in self.touched(name))

    def macs(self, widths: Widths) -> float:
        """Return the multiply-accumulates of the whole net."""
        layers = sum(self._macs(layer, widths) for layer in self.layers.values())
        further = sum(
            weight.macs
            * self._less(name, 0, weight.rows, widths)
            * self._less(name, 1, weight.columns, widths)
            // (weight.rows * weight.columns)
            for name, weight in self.further.items()
        )
        return layers + further + self.other_macs

    def _macs(self, layer: Layer, widths: Widths) -> float:
        """Return the multiply-accumulates of a layer, in proportion to its weights' sides."""
        rows, columns = self.sides[layer.path]
        outside, inside = self._sides(layer.path, widths)
        return float(self.all_macs[layer.path] * outside * inside // (rows * columns))

    def channels(self, widths: Widths) -> float:
        """Return the number of channels of all groups together."""
        return float(sum(widths.get(name, full) for name, full in self.full.items()))
