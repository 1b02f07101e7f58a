"""What a layer costs at other widths: in MACs, and in time on the target engine."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.passes.channels import Group

if TYPE_CHECKING:
    from torch import nn

Widths = Mapping[str, int]  # a group's name to the number of its channels
_TOGETHER = 32  # layers that are timed in turns


class Layer:
    """A convolution or linear layer, and the shapes of what it is called with."""

    def __init__(self, path: str, module: Any, shapes: Sequence[tuple[int, ...]]) -> None:
        self.path, self.module, self.shapes = path, module, shapes
        self.depthwise = getattr(module, "groups", 1) > 1
        self.inside, self.outside = int(module.weight.shape[1]), int(module.weight.shape[0])
        if self.depthwise:
            self.inside = self.outside

    def macs(self, inside: int, outside: int) -> float:
        """Return the multiply-accumulates of all calls at other widths."""
        area = self.module.weight[0, 0].numel()
        each = area * outside * (1 if self.depthwise else inside)
        return float(each * sum(self._places(shape) for shape in self.shapes))

    def _places(self, shape: tuple[int, ...]) -> int:
        """Return at how many places the weights are applied, the batch included."""
        if not hasattr(self.module, "kernel_size"):
            return int(np.prod(shape[:-1]))
        m = self.module
        sides = [
            (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for side, pad, dilation, kernel, stride in zip(
                shape[2:], _padding(m), m.dilation, m.kernel_size, m.stride, strict=True
            )
        ]
        return int(shape[0] * np.prod(sides))

    def trial(self, inside: int, outside: int) -> nn.Module:
        """Return a layer of its kind with other widths and random weights."""
        from torch import nn

        m = self.module
        if isinstance(m, nn.Linear):
            return nn.Linear(inside, outside, m.bias is not None)
        return type(m)(  # type: ignore[no-any-return]
            inside,
            outside,
            m.kernel_size,
            m.stride,
            m.padding,
            m.dilation,
            outside if self.depthwise else 1,
            m.bias is not None,
            m.padding_mode,
        )

    def inputs(self, inside: int) -> list[Inputs]:
        """Return random inputs for each of its calls."""
        rng = np.random.default_rng(0)
        axis = 1 if hasattr(self.module, "kernel_size") else -1
        found = []
        for shape in self.shapes:
            sides = list(shape)
            sides[axis] = inside
            found.append({"input": rng.standard_normal(sides, dtype=np.float32)})
        return found

    def alike(self) -> tuple[object, ...]:
        """Return what layers that take the same time have in common."""
        m = self.module
        names = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
        settings = tuple(getattr(m, name, None) for name in names)
        return (type(m), self.depthwise, m.bias is not None, *settings, *self.shapes)


def _padding(module: Any) -> Sequence[float]:
    if module.padding == "same":
        pairs = zip(module.dilation, module.kernel_size, strict=True)
        return [dilation * (kernel - 1) / 2 for dilation, kernel in pairs]
    if module.padding == "valid":
        return [0] * len(module.kernel_size)
    return list(module.padding)


def layers_of(model: nn.Module, inputs: Inputs) -> dict[str, Layer]:
    """Return the convolutions and linear layers that a call of `model` uses, by path."""
    import torch
    from torch import nn

    shapes: dict[str, list[tuple[int, ...]]] = {}
    hooks = []
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    found = {path: m for path, m in model.named_modules() if isinstance(m, kinds)}
    for path, module in found.items():

        def record(_: nn.Module, given: tuple[Any, ...], out: object, path: str = path) -> None:
            shapes.setdefault(path, []).append(tuple(given[0].shape))

        hooks.append(module.register_forward_hook(record))
    try:
        with torch.no_grad():
            model.eval()(*(torch.from_numpy(value) for value in inputs.values()))
    finally:
        for hook in hooks:
            hook.remove()
    return {path: Layer(path, found[path], seen) for path, seen in shapes.items()}


class Costs:
    """The layers of a model as functions of its groups' widths."""

    def __init__(self, layers: Mapping[str, Layer], groups: Iterable[Group]) -> None:
        self.layers = layers
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

    def touched(self, name: str) -> list[str]:
        """Return the layers whose size depends on a group."""
        paths = {member.path for member in self.groups[name].members}
        return [path for path in self.layers if path in paths]

    def macs(self, widths: Widths) -> float:
        """Return the MACs of all layers."""
        return sum(layer.macs(*self.size(path, widths)) for path, layer in self.layers.items())

    def channels(self, widths: Widths) -> float:
        """Return the number of channels that could be pruned and are there."""
        return float(sum(widths.get(name, full) for name, full in self.full.items()))


class Clock:
    """How long layers take on the target engine, each measured once.

    A layer is timed alone. Before each call as many bytes are read as the whole model's weights
    have, because in the model those of the other layers pass through the cache between two calls;
    what an engine takes for a call that computes nothing is taken off.
    """

    def __init__(self, model: nn.Module, costs: Costs, ctx: PassContext) -> None:
        self.costs, self.ctx = costs, ctx
        self.cold_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
        self.known: dict[tuple[object, ...], float] = {}
        self.empty_s: float | None = None

    def time_s(self, path: str, size: tuple[int, int]) -> float:
        """Return the seconds of a layer at a size that `learn` was told."""
        return self.known[(self.costs.layers[path].alike(), *size)] if all(size) else 0.0

    def learn(self, wanted: Iterable[tuple[str, tuple[int, int]]]) -> None:
        """Measure the layers, given by path and size, that are not known yet."""
        new: dict[tuple[object, ...], tuple[Layer, tuple[int, int]]] = {}
        for path, size in wanted:
            layer = self.costs.layers[path]
            key = (layer.alike(), *size)
            if all(size) and key not in self.known:
                new[key] = layer, size
        items = list(new.items())
        for start in range(0, len(items), _TOGETHER):
            self._measure(dict(items[start : start + _TOGETHER]))

    def _measure(self, new: dict[tuple[object, ...], tuple[Layer, tuple[int, int]]]) -> None:
        if self.empty_s is None:
            self.empty_s = self._empty_s()
        candidates: list[tuple[nn.Module, Inputs]] = []
        owners: list[tuple[object, ...]] = []
        for key, (layer, size) in new.items():
            module = layer.trial(*size)
            for inputs in layer.inputs(size[0]):
                candidates.append((module, inputs))
                owners.append(key)
        times = self.ctx.latency_s(candidates, self.cold_bytes)
        for key, time_s in zip(owners, times, strict=True):
            self.known[key] = self.known.get(key, 0.0) + max(0.0, time_s - self.empty_s)

    def _empty_s(self) -> float:
        from torch import nn

        smallest = nn.Conv2d(1, 1, 1), {"input": np.zeros((1, 1, 1, 1), np.float32)}
        return min(self.ctx.latency_s([copy.deepcopy(smallest)] * 3, self.cold_bytes))
