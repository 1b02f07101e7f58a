"""A net's call, followed: which positions of its parameters' axes go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.calls import caller, evaluated, slow_attention, tensors_in, tensors_of
from perfsuite.export.wrappers import eagerly, scripted_part
from perfsuite.passes.prune.operations import Operation, Trace, along
from perfsuite.passes.prune.positions import Labels
from perfsuite.passes.prune.rules import rule_of
from perfsuite.passes.shared.invocation import copied, first_line

if TYPE_CHECKING:
    from torch import nn

OUTPUT = "its channels are an output of the model"


class Axis:
    """An axis of a parameter or buffer, and the numbers of its positions."""

    def __init__(self, name: str, axis: int, labels: Labels) -> None:
        self.name, self.axis, self.labels = name, axis, labels


def followed(model: nn.Module, inputs: Inputs) -> tuple[Trace, list[Axis], set[int]]:
    """Return what a call of `model` ties together, its axes, and the nodes of its outputs.

    Raises `Unsupported` for a model that fails, gives no tensors, or is TorchScript in part.
    """
    import torch

    if scripted := scripted_part(model):
        raise Unsupported(
            f"prune: '{scripted}' is TorchScript, whose calls cannot be followed; leave it as it "
            f"is in build()"
        )
    trial = evaluated(copied(model))
    trace = Trace(modules=dict(trial.named_modules()))
    axes = _axes(trial, trace)
    given = tensors_of(inputs)
    try:
        with torch.no_grad(), eagerly(), _running(trial, trace), _seen(trace), slow_attention():
            answer = caller(trial, list(inputs))(given)
    except Exception as error:  # whatever a user's module raises
        raise Unsupported(
            f"prune: {type(model).__name__} cannot be traced ({first_line(error)}); it is called "
            f"with the task's inputs in evaluation mode"
        ) from error
    outputs = tensors_in(answer, type(model).__name__)
    if not outputs:
        raise Unsupported(
            f"prune: no layer of {type(model).__name__} leads to an output: it must give tensors, "
            f"or tuples, lists or dicts of them"
        )
    trace.end([trace.node(tensor) for tensor in outputs])
    for tensor in outputs:
        for facet in trace.facets(tensor):
            trace.positions.freeze(facet, OUTPUT)
    return trace, axes, {trace.node(tensor) for tensor in outputs}


def _axes(model: nn.Module, trace: Trace) -> list[Axis]:
    """Number the positions of all parameters and buffers, and mark these."""
    state = [*model.named_parameters(), *model.named_buffers()]
    axes = []
    for name, tensor in state:
        facets = []
        for axis, side in enumerate(tensor.shape):
            if side > 1:
                axes.append(Axis(name, axis, trace.positions.fresh(side)))
                facets.append(along(axes[-1].labels, axis, tensor.ndim))
                if axis < 2 or tensor.ndim < 4:  # not of kernels
                    trace.widths.add(side)
        trace.set(tensor, tuple(facets), True)
    trace.first_made = sum(len(axis.labels) for axis in axes)
    return axes


@contextmanager
def _seen(trace: Trace) -> Iterator[None]:
    """Have every operation followed that is run in the context."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Seen(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            trace.follow(Operation(func, args, kwargs or {}, result), rule_of)
            return result

    with Seen():  # type: ignore[no-untyped-call]
        yield


@contextmanager
def _running(model: nn.Module, trace: Trace) -> Iterator[None]:
    """Keep the path of the module that is running in `trace.path`."""
    stack: list[str] = []

    def enter(path: str) -> Callable[..., None]:
        def run(*_: Any) -> None:
            stack.append(trace.path)
            trace.path = path

        return run

    def leave(*_: Any) -> None:
        trace.path = stack.pop()

    with ExitStack() as hooks:
        for path, module in model.named_modules():
            hooks.callback(module.register_forward_pre_hook(enter(path), prepend=True).remove)
            hooks.callback(module.register_forward_hook(leave).remove)
        yield


def settled(trace: Trace, outer: Callable[[int], bool]) -> dict[int, Labels]:
    """Tie what keeps cut-up axes in form, and return their labels by the number of the cut.

    Positions that several axes tell apart must go by rows or by columns. They go by columns, each
    row losing as many, or by rows where `outer` says so. Returned are the labels along the one axis
    that is left.
    """
    positions = trace.positions
    found: dict[int, Labels] = {}
    waiting = True
    while waiting:
        waiting = False
        for number, cut in enumerate(trace.cuts):
            labels = positions.find(cut.labels)
            axes = [a for a in range(labels.ndim) if (labels != labels.take([0], a)).any()]
            if len(axes) > 1:
                kept = axes[0] if outer(number) else axes[-1]
                others = tuple(
                    slice(None) if a == kept else slice(0, 1) for a in range(labels.ndim)
                )
                positions.tie(labels, labels[others], "its channels meet fixed ones")
                waiting = True
            elif axes:
                rest = tuple(slice(None) if a == axes[0] else 0 for a in range(labels.ndim))
                found[number] = cut.labels[rest]
    return found


def attributes_of(module: Any, value: int) -> Iterator[str]:
    """Yield the names of a user's module's attributes that are the whole number `value`."""
    if module is None or type(module).__module__.startswith("torch."):
        return
    found = [
        name
        for name, held in vars(module).items()
        if isinstance(held, int) and not isinstance(held, bool) and held == value
    ]
    counts = [name for name in found if "heads" in name or "groups" in name]
    yield from counts if len(counts) == 1 else found
