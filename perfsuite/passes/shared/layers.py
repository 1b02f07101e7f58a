"""The convolutions and linear layers of a net, and the shapes of their calls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.aten_operators import counted
from perfsuite.passes.shared.invocation import call

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


class LayerCall(NamedTuple):
    """One call of a layer: the shapes of its input and of its result."""

    given: Shape
    result: Shape


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer, and its calls during one call of the net."""

    path: str
    module: Any  # one of `layer_kinds`
    calls: tuple[LayerCall, ...]

    @property
    def is_linear(self) -> bool:
        return not hasattr(self.module, "kernel_size")

    @cached_property
    def is_grouped(self) -> bool:
        """Tell whether it is a convolution in groups, such as a depthwise one."""
        return bool(getattr(self.module, "groups", 1) > 1)

    @cached_property
    def outside(self) -> int:
        """Return the number of channels of its result."""
        return int(self.module.weight.shape[0])

    @cached_property
    def inside(self) -> int:
        """Return the number of channels of its input; of a grouped one, that of its result."""
        return self.outside if self.is_grouped else int(self.module.weight.shape[1])

    @cached_property
    def largest_call(self) -> LayerCall:
        """Return the call with the most multiply-accumulates, the first of several."""
        return max(self.calls, key=lambda made: self.macs_of(made, self.inside, self.outside))

    def macs(self, inside: int, outside: int) -> int:
        """Return the multiply-accumulates of all calls, if it had these numbers of channels."""
        return sum(self.macs_of(made, inside, outside) for made in self.calls)

    def macs_of(self, made: LayerCall, inside: int, outside: int) -> int:
        """Return the multiply-accumulates of one call, if it had these numbers of channels."""
        _, columns, *kernel = map(int, self.module.weight.shape)
        # In a grouped convolution a result is made of one group's channels alone.
        summed = columns if self.is_grouped else inside
        # At how many places the weights are applied, the batch included.
        places = math.prod(self.without_channels(made.result))
        return math.prod(kernel) * outside * summed * places

    def without_channels(self, shape: Shape) -> Shape:
        """Return the shape of an input or a result without its axis of channels."""
        return shape[:-1] if self.is_linear else shape[:1] + shape[2:]


def convolution_kinds() -> tuple[type[Any], ...]:
    """Return torch's convolutions that are not transposed."""
    from torch import nn

    return nn.Conv1d, nn.Conv2d, nn.Conv3d


def layer_kinds() -> tuple[type[Any], ...]:
    """Return the modules that passes make smaller: convolutions and linear layers."""
    from torch import nn

    return *convolution_kinds(), nn.Linear


def why_no_layers(model: nn.Module) -> str:
    """Return why a net has no layer that a pass could make smaller."""
    import torch

    for path, part in model.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            what = "TorchScript"
        elif isinstance(part, torch.fx.GraphModule):
            what = "a graph of operators"
        else:
            continue
        return (
            f"{path or 'it'} is {what}, in which no layer can be changed; build the net from its "
            f"Python code"
        )
    return "it has no convolution and no linear layer"


def layers_of(model: nn.Module, inputs: Inputs) -> dict[str, Layer]:
    """Return the layers that a call of `model` uses, by path, in the order of their first calls.

    A convolution that is given one picture without a batch is as if it were given a batch of one.
    Raises what `watched` does.
    """
    modules = {path: m for path, m in model.named_modules() if isinstance(m, layer_kinds())}
    calls: dict[str, list[LayerCall]] = {}

    def note(path: str, given: Any, result: Any) -> None:
        axes = len(getattr(modules[path], "kernel_size", ())) + 1  # of one picture
        before = (1,) if given.ndim == axes > 1 else ()
        made = LayerCall((*before, *given.shape), (*before, *result.shape))
        calls.setdefault(path, []).append(made)

    with watched(modules, note):
        call(model, inputs)
    return {path: Layer(path, modules[path], tuple(made)) for path, made in calls.items()}


def layers_and_macs(model: nn.Module, inputs: Inputs) -> tuple[dict[str, Layer], int]:
    """Return what `layers_of` returns, and the multiply-accumulates of the whole call.

    Transposed convolutions, matrix products and attention are among them.
    """
    with counted() as count:
        layers = layers_of(model, inputs)
    return layers, count.macs


@contextmanager
def watched(
    modules: Mapping[str, nn.Module], note: Callable[[str, Any, Any], None]
) -> Iterator[None]:
    """Call `note(path, input, result)` after each call of a module that takes and gives a tensor.

    `modules` are those to watch, by path; their hooks are removed at the end of the context. Raises
    `Unsupported` for one that is called under `torch.func.vmap`, as its tensors end with that.
    """
    import torch

    def hook(path: str) -> Callable[..., None]:
        def run(
            _: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any], result: object
        ) -> None:
            first = given[0] if given else named.get("input")
            if isinstance(first, torch.Tensor) and isinstance(result, torch.Tensor):
                if torch._C._functorch.is_batchedtensor(result):
                    raise Unsupported(
                        f"'{path}' is called under torch.func.vmap, where no pass can see what it "
                        f"is given; let forward call it with whole batches"
                    )
                note(path, first, result)

        return run

    with ExitStack() as stack:
        for path, module in modules.items():
            handle = module.register_forward_hook(hook(path), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def bonds(model: nn.Module) -> Callable[[nn.Module], str]:
    """Return what tells why a layer cannot be replaced by another without a change elsewhere.

    It returns '' for a layer that can be.
    """
    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    names = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))

    def why(module: nn.Module) -> str:
        weight = module._parameters.get("weight")
        if names[id(module)] > 1:
            return "the same module stands under another name too"
        if weight is None:
            return "its weight is computed: remove its parametrization in build()"
        if uses[id(weight)] > 1:
            return "its weight is shared with another layer"
        return "it has hooks" if module._forward_hooks or module._forward_pre_hooks else ""

    return why
