"""The profile of a live torch module, in the process that holds it; nothing is written for it."""

from __future__ import annotations

import io
import statistics
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.model import Stage
from perfsuite.domain.profile import Breakdown, Roofline
from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import ConfigError, Unavailable, Unsupported
from perfsuite.export.attributes import Attributes
from perfsuite.export.calls import tensor_of
from perfsuite.export.nodes import module_nodes
from perfsuite.export.wrappers import eagerly, unwrapped
from perfsuite.judge.bottleneck import bottleneck
from perfsuite.measure.latency import time_calls
from perfsuite.measure.roofline import Reached, reached, roofline
from perfsuite.measure.stages import breakdown
from perfsuite.report.profile.tree import Tree, render
from perfsuite.report.sentences import bottleneck_sentences
from perfsuite.runner.build.stages import check, paths, spans
from perfsuite.runtimes.pytorch.profile import profile
from perfsuite.runtimes.shared.cuda_driver import CUDA
from perfsuite.user_code import kind_of, user_code

if TYPE_CHECKING:
    import torch
    from torch import nn

CALLS, SECONDS = 10, 1.0  # that are timed, and as many that are profiled
MOST_CALLS = 100
_MEASURE = Measure(calls=CALLS, seconds=SECONDS, warmup_seconds=2.0)
_WIDTH = 110  # characters of a printed table


@dataclass(frozen=True, repr=False)
class ModuleProfile:
    """Where the time of a module's call goes, in eager PyTorch as it was handed over.

    Printed, or as the last value of a notebook's cell, it is the breakdown by module with the
    bottleneck in words. `latencies_s` are the seconds of calls that were not profiled, of this one
    process: what is to be believed or compared wants `perfsuite.run`.
    """

    name: str
    latencies_s: tuple[float, ...]
    breakdown: Breakdown
    roofline: Roofline | None
    depth: int | None = None  # of the levels that are printed

    @property
    def latency_s(self) -> float:
        """Return the median seconds of a call that is not profiled."""
        return statistics.median(self.latencies_s)

    @property
    def bottleneck(self) -> tuple[str, ...]:
        """Return what holds the module back, in sentences."""
        return bottleneck_sentences(bottleneck(self.breakdown, self.roofline, None))

    def __repr__(self) -> str:
        from rich.console import Console

        out = io.StringIO()
        console = Console(file=out, width=_WIDTH, color_system=None)
        console.print(self.name, markup=False)
        console.print(Tree(self.breakdown, self.roofline, self.depth))
        return out.getvalue().rstrip()

    def _repr_markdown_(self) -> str:
        """Return the breakdown as notebooks show it."""
        return f"**{self.name}**\n\n{render(self.breakdown, self.roofline, depth=self.depth)}"


def profile_module(
    module: nn.Module, inputs: object, stages: Sequence[Stage] = (), depth: int | None = None
) -> ModuleProfile:
    """Return where the time of `module(*inputs)` goes; a mapping is given by keyword.

    `depth` is the number of levels that are printed, all by default.

    Arrays become tensors on the module's device; what else there is goes in as it is. The module
    runs in evaluation mode without gradients, with this process's threads, and is left as it was,
    its attributes included, lists and dicts too; what torch.compile was given runs eagerly. Raises
    `ConfigError` for stages or inputs that do not fit.
    """
    import torch

    module = unwrapped(module)
    device = _device(module)
    calls = _Calls(module, *_arguments(inputs, device), device)
    check(type(module).__name__, stages, paths(stages, module))
    with eagerly(), _evaluating(module), torch.inference_mode():
        with user_code(f"{type(module).__name__}: its forward on {_said(inputs)}"):
            calls = calls.tried()
        timed = time_calls(calls, [{}], _MEASURE)
        usual_s = statistics.median(timed.samples_s)
        count = min(MOST_CALLS, max(CALLS, round(SECONDS / usual_s)))
        traced = profile(module, calls.run, spans(stages, module), [{}], count, device)
    found = breakdown(traced, module_nodes(module), stages)
    return ModuleProfile(
        f"{type(module).__name__}, eager PyTorch on {device}, {_threads(device)}",
        timed.samples_s,
        msgspec.structs.replace(found, untraced_s=statistics.fmean(timed.samples_s)),
        _roofline(module, device, reached(found)),
        depth,
    )


@dataclass(frozen=True)
class _Calls:
    """Calls of a module with the same arguments, as the clock and the profiler want them."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    device: str
    changed: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()  # arguments, and what they were

    def tried(self) -> _Calls:
        """Return these calls after a first one, with the arguments that the module changes."""
        given = _remembered(_tensors([*self.args, *self.kwargs.values()]))
        self.run({})
        return replace(self, changed=tuple(_changed(given)))

    def run(self, inputs: Inputs) -> Outputs:
        """Return nothing, once the device has finished; `inputs` are none."""
        import torch

        for argument, was in self.changed:
            argument.copy_(was)
        self.module(*self.args, **self.kwargs)
        if self.device == CUDA:
            torch.cuda.synchronize()
        return []


def _device(module: nn.Module) -> str:
    kinds = {tensor.device.type for tensor in (*module.parameters(), *module.buffers())}
    if "meta" in kinds:
        raise Unsupported(
            "the module has tensors on the meta device, which hold no values, so it cannot be "
            "called; make it on the processor (torch.device('cpu')), or load its weights with "
            "load_state_dict(..., assign=True)"
        )
    if len(kinds) > 1 or not kinds <= {PROCESSOR, CUDA}:
        raise Unsupported(
            f"the module's tensors lie on {', '.join(sorted(kinds))}; profiled is what lies on "
            f"'{PROCESSOR}' or on '{CUDA}' as a whole: module.to('{PROCESSOR}')"
        )
    return kinds.pop() if kinds else PROCESSOR


def _arguments(inputs: object, device: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    import numpy as np
    import torch

    if inputs is None:
        raise ConfigError(
            "a torch module does not say what goes into it; give its inputs: "
            "perfsuite.profile(net, (pictures,))"
        )
    if isinstance(inputs, str):
        raise ConfigError(f"the inputs of the module were expected, not {kind_of(inputs)}")
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    listed = () if named else tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)

    def placed(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            value = tensor_of(np.array(value))  # a copy: a module may change what it is given
        elif isinstance(value, torch.Tensor):
            value = value.detach().clone()
        elif type(value) in (list, tuple):
            return type(value)(map(placed, value))
        elif type(value) in (dict, OrderedDict):
            return type(value)((key, placed(item)) for key, item in value.items())
        return value.to(device) if isinstance(value, torch.Tensor) else value

    return tuple(map(placed, listed)), {name: placed(value) for name, value in named.items()}


def _said(inputs: object) -> str:
    """Return which inputs a call has, with a word on a list, which may have been meant as one."""
    if isinstance(inputs, list) and len(inputs) > 1:
        return f"{len(inputs)} inputs (a list that is one input is given as ([...],))"
    return "the given inputs"


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested arguments."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _tensors(one)


def _remembered(
    tensors: Iterable[torch.Tensor],
) -> list[tuple[torch.Tensor, torch.Tensor, int]]:
    """Return tensors with copies, and how often each was written to, where torch counts that."""
    from torch.nn.parameter import is_lazy

    counted = [one for one in tensors if not is_lazy(one) and not one.is_inference()]
    return [(one, one.clone(), one._version) for one in counted]


def _changed(
    remembered: Iterable[tuple[torch.Tensor, torch.Tensor, int]],
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the tensors that were written to since, each with its copy."""
    return ((one, was) for one, was, version in remembered if one._version != version)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Have all parts in evaluation mode, each as it was afterwards, its buffers and attributes too.

    What an object of some other class that a part holds keeps of itself is not put back.
    """
    import torch

    before = [(part, part.training) for part in module.modules()]
    held = [(part._buffers, dict(part._buffers.items())) for part, _ in before]
    attributes = [Attributes(part) for part, _ in before]
    values = _remembered([*module.buffers(), *(t for one in attributes for t in one.tensors())])
    try:
        for part, _ in before:
            part.training = False
        yield
    finally:
        for one in attributes:
            one.restore()
        for part, training in before:
            part.training = training
        for buffers, own in held:
            if isinstance(buffers, dict):  # those of a scripted module cannot be replaced
                buffers.update(own)
        with torch.no_grad():  # weights, too, may have been written to
            for tensor, was in _changed(values):
                tensor.copy_(was)


def _threads(device: str) -> str:
    import torch

    if device == CUDA:
        return torch.cuda.get_device_name(0)
    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count != 1)}"


def _roofline(module: nn.Module, device: str, seen: Reached) -> Roofline | None:
    """Return what the processor reaches in the module's precision, if that is measured."""
    import torch

    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    kinds: set[torch.dtype] = {one.dtype for one in module.parameters() if one.is_floating_point()}
    precision = names.get(kinds.pop()) if len(kinds) == 1 else None
    if device != PROCESSOR or precision is None:
        return None
    try:
        return roofline(torch.get_num_threads(), precision, seen)
    except Unavailable:
        return None
