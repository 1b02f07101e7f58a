"""Which layers of a net can be factorized, and what they are given in one call."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError
from perfsuite.passes.lowrank.modules import replace
from perfsuite.passes.shared.invocation import call

if TYPE_CHECKING:
    import torch
    from torch import nn

Shape = tuple[int, ...]


@dataclass
class Layer:
    """A layer that can be factorized; `given` and `got` are the shapes of its largest call.

    `macs` are those of this call; `calls` counts calls as large as it, in one call of the net: a
    head that runs over five levels of a pyramid has perhaps 1.3.
    """

    path: str
    module: nn.Module
    given: Shape
    got: Shape
    macs: int
    calls: float

    @property
    def signature(self) -> tuple[str, Shape]:
        """Return what layers share that take the same time: their geometry and their input's."""
        return repr(self.module), self.given

    def example(self) -> np.ndarray:
        """Return an input of the layer's shape, seeded and standard normal."""
        return np.random.default_rng(0).normal(size=self.given).astype(np.float32)


@dataclass
class Layers:
    """The layers of a net: `open` to factorization, or `left` alone, with the reason, by path.

    `macs` are those of one call of the net, of everything in it that multiplies.
    """

    open: list[Layer]
    left: dict[str, str]
    macs: int


@dataclass
class _Calls:
    """A forward hook that notes the shapes of what a layer is given and gives."""

    seen: list[tuple[Shape, Shape]] = field(default_factory=list)

    def __call__(self, layer: nn.Module, args: Any, kwargs: dict[str, Any], got: Any) -> None:
        given = args[0] if args else kwargs["input"]
        self.seen.append((tuple(given.shape), tuple(got.shape)))


def layers_of(model: nn.Module, inputs: Inputs) -> Layers:
    """Return the net's layers, found out in calls with `inputs`; `model` is left as it was.

    Raises `BuildError` for weights that are not finite.
    """
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    left = _unfit(model)
    modules = {
        path: module
        for path, module in model.named_modules()
        if path not in left and isinstance(module, nn.Linear | nn.Conv2d)
    }
    for path, module in modules.items():
        if not bool(module.weight.isfinite().all()):
            raise BuildError(
                f"lowrank: {path}.weight has NaN or infinite values; check the model's weights"
            )
    calls = {path: _Calls() for path in modules}
    with ExitStack() as stack:
        for path, module in modules.items():
            handle = module.register_forward_hook(calls[path], with_kwargs=True)
            stack.callback(handle.remove)
        counter = stack.enter_context(FlopCounterMode(display=False))
        call(model, inputs)
    found = {
        path: layer
        for path, module in modules.items()
        if (layer := _layer(path, module, calls[path].seen)) is not None
    }
    left |= {path: "not called with the task's inputs" for path in modules if path not in found}
    for path in _read_from_outside(model, inputs, found):
        del found[path]
        left[path] = "code outside of the layer reads its attributes"
    return Layers(list(found.values()), left, counter.get_total_flops() // 2)


def check_answers(model: nn.Module, inputs: Inputs, before: Sequence[torch.Tensor]) -> None:
    """Raise `BuildError` unless `model` answers as many finite tensors as before, as deep."""
    after = call(model, inputs)
    if [tensor.ndim for tensor in after] != [tensor.ndim for tensor in before]:
        raise BuildError(
            f"lowrank: {type(model).__name__} answers tensors of shape "
            f"{[tuple(tensor.shape) for tensor in after]} with its layers factorized, and "
            f"{[tuple(tensor.shape) for tensor in before]} without"
        )
    if not all(bool(tensor.isfinite().all()) for tensor in after):
        raise BuildError(
            f"lowrank: {type(model).__name__} answers NaN or infinite values with its layers "
            f"factorized; keep more of them (a higher energy or macs, or a lower speedup)"
        )


def _unfit(model: nn.Module) -> dict[str, str]:
    """Return the layers that must be left alone, and why, as their own structure tells."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    names = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    left = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Linear | _ConvNd):
            continue
        weight = module._parameters.get("weight")
        if type(module) not in (nn.Linear, nn.Conv2d):
            left[path] = f"a {type(module).__name__}: only Linear and Conv2d are factorized"
        elif getattr(module, "groups", 1) != 1:
            left[path] = "grouped"
        elif names[id(module)] > 1:
            left[path] = "the same module stands under another name too"
        elif weight is None:
            left[path] = "its weight is computed (a parametrization)"
        elif uses[id(weight)] > 1:
            left[path] = "its weight is shared with another layer"
        elif module._forward_hooks or module._forward_pre_hooks:
            left[path] = "it has hooks"
    return left


def _layer(
    path: str, module: nn.Linear | nn.Conv2d, seen: list[tuple[Shape, Shape]]
) -> Layer | None:
    """Return the layer as it was called; None if it multiplied nothing."""
    per_value = module.weight[0].numel()  # of the result
    macs = [int(np.prod(got)) * per_value for _, got in seen]
    if not sum(macs):
        return None
    largest = int(np.argmax(macs))
    given, got = seen[largest]
    return Layer(path, module, given, got, macs[largest], sum(macs) / macs[largest])


def _read_from_outside(model: nn.Module, inputs: Inputs, layers: dict[str, Layer]) -> Iterator[str]:
    """Yield the layers that the net cannot do without as such, as it reads their `weight`, say.

    Each is wrapped into a sequence, which has none of a layer's attributes, and the net is called.
    """
    if "" in layers or _runs_wrapped(model, inputs, list(layers.values())):
        return
    for path, layer in list(layers.items()):
        if not _runs_wrapped(model, inputs, [layer]):
            yield path


def _runs_wrapped(model: nn.Module, inputs: Inputs, layers: Sequence[Layer]) -> bool:
    from torch import nn

    try:
        for layer in layers:
            replace(model, layer.path, nn.Sequential(OrderedDict(reduce=layer.module)))
        call(model, inputs)
    except AttributeError:
        return False
    finally:
        for layer in layers:
            replace(model, layer.path, layer.module)
    return True
