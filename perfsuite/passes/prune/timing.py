"""The time that the layers of a group take at each width, on the engine that the net will run on.

A group is timed as a small net: the layer whose result its channels are, followed by the layers
that read them. Timed one by one, each layer would include conversions into the engine's own memory
layout and back, which the net has not between its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.prune.costs import Costs, Widths
from perfsuite.passes.prune.importance import GroupWidth
from perfsuite.passes.shared.layers import Layer, convolution_kinds, layer_kinds

if TYPE_CHECKING:
    import torch
    from torch import nn

_TOGETHER = 32  # candidates that take turns
# A layer may be slower by where an engine has put its memory, until it is opened again.
_OPENINGS = 3
LANES = (8, 16, 32)  # channels that kernels may compute at once
Candidate = tuple["nn.Module", Inputs]


def group_times(
    model: nn.Module, costs: Costs, ctx: PassContext, wanted: Mapping[str, Iterable[int]]
) -> dict[GroupWidth, float]:
    """Return the seconds that a group's layers take at each wanted width, by (group, width).

    All other groups have their full widths. Before each call as many bytes of other memory are
    read as the model's weights have, because in the net the weights of other layers pass through
    the cache between two calls. The time of a call that computes nothing is subtracted. Groups
    whose layers are alike are measured once.
    """
    keys = {
        (name, width): _alike(costs, name, {**costs.full, name: width})
        for name, widths in wanted.items()
        for width in widths
    }
    first = {key: place for place, key in reversed(keys.items()) if place[1]}
    waiting = [
        (key, candidate)
        for key, (name, width) in first.items()
        for candidate in _candidates(costs, costs.groups[name], {**costs.full, name: width})
    ]
    times_s = _times_s([candidate for _, candidate in waiting], model, ctx)
    known = dict.fromkeys(first, 0.0)
    for (key, _), time_s in zip(waiting, times_s, strict=True):
        known[key] += time_s
    return {place: known[key] if place[1] else 0.0 for place, key in keys.items()}


def lanes(times_s: Mapping[GroupWidth, float], each: Mapping[str, int] = {}) -> int:
    """Return how many channels the engine's kernels compute at once: 8, 16 or 32.

    For each of these, times that grow in steps, a + b * ceil(width / lanes) for each group, are
    fitted by least squares. Returned is the one with the least error summed over all groups, whose
    times are relative to those at full width. The times of one group are too noisy to tell. `each`
    has the channels of a unit of a group, where it has several.
    """
    return min(LANES, key=lambda count: (_error(times_s, count, each), count))


def _error(times_s: Mapping[GroupWidth, float], count: int, each: Mapping[str, int]) -> float:
    total = 0.0
    for name, curve in _curves(times_s).items():
        widths = [width for width in curve if width]
        if curve[max(widths)] == 0:  # no longer than a call that computes nothing
            continue
        stairs = np.array([-(-width * each.get(name, 1) // count) for width in widths], dtype=float)
        times = np.array([curve[width] for width in widths]) / curve[max(widths)]
        design = np.stack([np.ones_like(stairs), stairs], axis=1)
        fitted = design @ np.linalg.lstsq(design, times, rcond=None)[0]
        total += float(((times - fitted) ** 2).sum())
    return total


def smooth(
    times_s: Mapping[GroupWidth, float], count: int, each: Mapping[str, int] = {}
) -> dict[GroupWidth, float]:
    """Return the times at multiples of `count` channels and at full width, never falling with it.

    This is isotonic regression: neighbours out of order are replaced by their mean (Ayer et al.
    1955). `each` is as for `lanes`.
    """
    found: dict[GroupWidth, float] = {}
    for name, curve in _curves(times_s).items():
        full = max(curve)
        channels = each.get(name, 1)
        widths = sorted(w for w in curve if w * channels % count == 0 or w == full)
        blocks: list[list[float]] = []  # mean and number of widths
        for width in widths:
            blocks.append([curve[width], 1.0])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                (a, n), (b, m) = blocks[-2:]
                blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
        values = [mean for mean, number in blocks for _ in range(int(number))]
        found.update({(name, w): value for w, value in zip(widths, values, strict=True)})
    return found


def _curves(times_s: Mapping[GroupWidth, float]) -> dict[str, dict[int, float]]:
    curves: dict[str, dict[int, float]] = {}
    for (name, width), time_s in times_s.items():
        curves.setdefault(name, {})[width] = time_s
    return curves


def _times_s(candidates: list[Candidate], model: nn.Module, ctx: PassContext) -> list[float]:
    """Return each candidate's least time over several openings, minus that of an empty call."""
    from torch import nn

    empty = nn.Conv2d(1, 1, 1), {"input": np.zeros((1, 1, 1, 1), np.float32)}
    everything = [empty, *candidates]
    cold_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    least = np.full(len(everything), np.inf)
    for opening in range(_OPENINGS):
        for start in range(0, len(everything), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            times = ctx.latency_s(everything[part], cold_bytes)
            least[part] = np.minimum(least[part], times)
            ctx.progress(opening * len(everything) + start, _OPENINGS * len(everything))
    return [float(time_s) for time_s in np.maximum(0.0, least[1:] - least[0])]


def _alike(costs: Costs, name: str, sizes: Widths) -> tuple[object, ...]:
    """Return a value that is equal for groups that take the same time."""
    return tuple(
        (*_settings(layer), *costs.size(layer.path, sizes), costs.parts(layer.path, sizes))
        for layer in costs.touched(name)
    )


def _settings(layer: Layer) -> tuple[object, ...]:
    """Return all that the time of a layer depends on beside its numbers of channels."""
    module = layer.module
    names = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
    shapes = tuple(layer.without_channels(made.given) for made in layer.calls)
    geometry = (getattr(module, name, None) for name in names)
    return (type(module), *geometry, shapes)


def _candidates(costs: Costs, group: Group, sizes: Widths) -> list[Candidate]:
    """Return a small net for each call of the group, or its layers if it is no chain of layers."""
    layers = costs.touched(group.name)
    outputs, readers = group.paths("out"), group.paths("in")
    producers = [layer for layer in layers if layer.path in outputs and not layer.is_grouped]
    calls = {len(layer.calls) for layer in layers}
    if len(producers) == 1 and len(calls) == 1:
        passed = [layer for layer in layers if layer.path in outputs and layer.is_grouped]
        last = [layer for layer in layers if layer.path in readers]
        chains = [
            _chain(costs, sizes, [*producers, *passed], last, call) for call in range(calls.pop())
        ]
        if all(chain is not None for chain in chains):
            return [chain for chain in chains if chain is not None]
    return [
        (_trial(costs, layer, sizes), _inputs(costs, layer, sizes, call))
        for layer in layers
        for call in range(len(layer.calls))
    ]


def _chain(
    costs: Costs, sizes: Widths, first: list[Layer], last: list[Layer], call: int
) -> Candidate | None:
    """Return a net of the layers that give the channels, `first`, and those that read them, `last`.

    None where no simple operation could stand between them: the pictures do not shrink by whole
    factors, a layer is a user's subclass that may pad by itself, or the channels are the last axis
    of a tensor with more than two.
    """
    import torch
    from torch import nn

    if any(layer.is_linear and len(layer.calls[call].given) > 2 for layer in (*first, *last)):
        return None
    if any(type(layer.module) not in layer_kinds() for layer in (*first, *last)):
        return None
    if not _fit_together(costs, [*first, *last], sizes):
        return None
    modules = [_trial(costs, layer, sizes) for layer in first]
    inputs = _inputs(costs, first[0], sizes, call)
    shape = (torch.from_numpy(inputs["input"])).shape
    steps: list[nn.Module] = []
    for layer, module in zip(first, modules, strict=True):
        between = _between(shape, layer.calls[call].given)
        if between is None:
            return None
        steps += [*between, module, nn.ReLU()]
        shape = torch.Size(layer.calls[call].result)
    readers: list[nn.Module] = []
    for layer in last:
        between = _between(shape, layer.calls[call].given)
        if between is None:
            return None
        readers.append(nn.Sequential(*between, _trial(costs, layer, sizes)))
    return _fork()(nn.Sequential(*steps), readers), inputs


def _fit_together(costs: Costs, layers: list[Layer], sizes: Widths) -> bool:
    """Tell whether each layer takes the channels that the one before it gives, and no others."""
    for widths in (costs.full, sizes):
        given = 0
        for layer in layers:
            inside, outside = costs.size(layer.path, widths)
            spread = layer.is_linear and given and inside % given == 0  # flattened pictures
            if given and inside != given and not spread:
                return False
            given = outside if not given or layer.is_grouped else given
    return True


def _between(have: tuple[int, ...], need: tuple[int, ...]) -> list[nn.Module] | None:
    """Return modules that turn the shape `have` into `need`; None if no simple ones do."""
    from torch import nn

    if len(need) == 2 and len(have) > 2:
        return _flatter(have[2:], need[1] // have[1])
    if len(have) != len(need):
        return None
    if tuple(have[2:]) == tuple(need[2:]):
        return []
    factors = [-(-a // b) for a, b in zip(have[2:], need[2:], strict=True)]
    if len(factors) != 2 or any(
        -(-a // factor) != b for a, b, factor in zip(have[2:], need[2:], factors, strict=True)
    ):
        return None
    return [nn.MaxPool2d(tuple(factors), ceil_mode=True)]


def _flatter(sides: tuple[int, ...], repeat: int) -> list[nn.Module] | None:
    """Return modules that leave `repeat` values of each channel; None if no simple ones do."""
    from torch import nn

    if repeat == np.prod(sides):
        return [nn.Flatten()]
    if repeat == 1:
        return [_mean()(), nn.Flatten()]
    for factor in range(2, max(sides) if len(sides) == 2 else 0):
        if np.prod([-(-side // factor) for side in sides]) == repeat:
            return [nn.MaxPool2d(factor, ceil_mode=True), nn.Flatten()]
    return None


def _fork() -> Callable[[nn.Module, list[nn.Module]], nn.Module]:
    from torch import nn

    class Fork(nn.Module):
        """A net and the layers that read its result."""

        def __init__(self, trunk: nn.Module, readers: list[nn.Module]) -> None:
            super().__init__()
            self.trunk, self.readers = trunk, nn.ModuleList(readers)

        def forward(self, given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            channels = self.trunk(given)
            return tuple(reader(channels) for reader in self.readers)

    return Fork


def _mean() -> type[nn.Module]:
    from torch import nn

    class Mean(nn.Module):
        """Returns the mean over all places of a picture."""

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return given.mean(dim=tuple(range(2, given.ndim)), keepdim=True)

    return Mean


def _trial(costs: Costs, layer: Layer, sizes: Widths) -> Any:
    """Return a layer of the same kind with other widths and random weights.

    For a user's subclass, whose constructor is not known, it is torch's own layer.
    """
    from torch import nn

    module = layer.module
    inside, outside = costs.size(layer.path, sizes)
    if isinstance(module, nn.Linear):
        return nn.Linear(inside, outside, module.bias is not None)
    groups = costs.parts(layer.path, sizes)
    settings = (module.kernel_size, module.stride, module.padding, module.dilation, groups)
    kind = next(each for each in convolution_kinds() if isinstance(module, each))
    # It has a bias, because engines fold the norm behind a layer into one.
    return kind(inside, outside, *settings, padding_mode=module.padding_mode)


def _inputs(costs: Costs, layer: Layer, sizes: Widths, call: int) -> Inputs:
    sides = list(layer.calls[call].given)
    axis = -1 if layer.is_linear else 1
    sides[axis] = costs.size(layer.path, sizes)[0]
    return {"input": np.random.default_rng(0).standard_normal(sides, dtype=np.float32)}
