"""Whether a model answers alike each time: an engine can only repeat what follows from the inputs.

Dropout that is left on, noise, and state that one call leaves for the next make answers differ, and
every comparison with an engine would blame the export for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.attributes import Attributes
from perfsuite.export.chance import drawing_nodes
from perfsuite.runner.build.reference import graph_answers, module_outputs

if TYPE_CHECKING:
    from torch import nn

# Sums in threads may be taken in another order; answers by chance differ by far more.
_TOLERANCE = 1e-4


def check_repeatable(module: nn.Module, inputs: Inputs) -> Outputs:
    """Return the module's answers; raise `BuildError` if it answers otherwise the second time.

    What calls change of its buffers is put back. Raises what `module_outputs` does.
    """
    outputs, why = answered_twice(module, inputs)
    if why:
        raise BuildError(why)
    return outputs


def answered_twice(module: nn.Module, inputs: Inputs) -> tuple[Outputs, str]:
    """Return the module's answers, and why those of a second call differ; '' if they do not."""
    who = type(module).__name__
    with put_back(module) as state:
        first = module_outputs(module, inputs)
        changed = state.changed()
        second = module_outputs(module, inputs)
        index = _differing(first, second)
        if index is None:
            return first, ""
        state.restore()
        # What a call leaves is the reason if without it the answers are those of the first one.
        if changed and _differing(first, module_outputs(module, inputs)) is None:
            where = f"output {index} of {len(first)}"
            return first, (
                f"{who} answers otherwise the second time it is given the same inputs ({where}): "
                f"its forward changes '{changed[0]}', which the next call reads. An engine keeps "
                f"no such state; give it in inputs() and let forward return it, or reset it in "
                f"forward"
            )
    left = [path for path, part in module.named_modules() if path and part.training]
    mode = (
        f"; '{left[0]}' is still in training mode after eval(), as a train() of its own decides"
        if left
        else ""
    )
    return first, (
        f"{who} answers by chance: given the same inputs twice, output {index} of {len(first)} "
        f"differs{mode}. Dropout must be off in evaluation mode (F.dropout needs "
        f"training=self.training), and noise must be an input or come from a generator that "
        f"forward seeds"
    )


def check_repeatable_graph(graph: Path, inputs: Inputs, operators: Sequence[str] = ()) -> None:
    """Raise `BuildError` if a graph that draws random numbers answers otherwise the second time.

    It is asked only where an operator draws any, and where ONNX Runtime runs it.
    """
    drawing = drawing_nodes(graph)
    if not drawing:
        return
    try:
        first, second = graph_answers(graph, [inputs, inputs], operators)
    except Unsupported:
        return
    index = _differing(first, second)
    if index is not None:
        raise BuildError(
            f"{graph.name} answers by chance: given the same inputs twice, output {index} of "
            f"{len(first)} differs, as {drawing[0]} draws random numbers. Export the model in "
            f"evaluation mode, in which dropout is off, and with noise as an input"
        )


@contextmanager
def put_back(module: nn.Module) -> Iterator[_State]:
    """Yield what the module keeps of itself, which is put back afterwards."""
    state = _State(module)
    try:
        yield state
    finally:
        state.restore()


class _State:
    """A module's buffers and attributes as they are now; all are put back, or none fits another.

    A net may keep a tensor beside the shape that it was made for, such as a detector's anchors.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.parts = [(path, Attributes(part)) for path, part in module.named_modules()]
        self.values = {name: value.clone() for name, value in _tensors(module)}

    def changed(self) -> list[str]:
        """Return the names of what is not as it was, tensors first."""
        found = [
            name for name, now in _tensors(self.module) if not _alike(self.values.get(name), now)
        ]
        for path, attributes in self.parts:
            found += [f"{path}.{name}".lstrip(".") for name in attributes.changed()]
        return list(dict.fromkeys(found))

    def restore(self) -> None:
        """Put all back: what is held, and then the values of tensors that were written to."""
        import torch

        for _, attributes in self.parts:
            attributes.restore()
        owners = dict(self.module.named_modules())
        with torch.no_grad():
            for name, value in list(_tensors(self.module)):
                if name in self.values and not _alike(self.values[name], value):
                    path, _, own = name.rpartition(".")
                    part = owners[path]
                    held: Any = part._buffers if own in part._buffers else vars(part)
                    held[own] = self.values[name].clone()


def _tensors(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield buffers, and tensors that are plain attributes, by name."""
    import torch

    for path, part in module.named_modules():
        for held in (part._buffers, vars(part)):
            for name, value in held.items():
                if isinstance(value, torch.Tensor):
                    yield f"{path}.{name}".lstrip("."), value.detach()


def _alike(before: Any, now: Any) -> bool:
    import torch

    if before is None or before.shape != now.shape or before.dtype != now.dtype:
        return False
    if before.layout is not torch.strided or before.is_quantized:
        return True
    return bool(torch.equal(before, now))


def _differing(first: Outputs, second: Outputs) -> int | None:
    """Return the index of the first output that differs between two calls; None if none does."""
    if len(first) != len(second):
        return min(len(first), len(second))
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        if one.shape != other.shape or not _close(one, other):
            return index
    return None


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    if np.array_equal(one, other) or not one.size:
        return True
    if one.dtype.kind not in "fc":
        return bool((one != other).mean() < _TOLERANCE)
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    scale = float(np.abs(one[finite]).max(initial=0.0)) or 1.0
    return bool(np.abs(one[finite] - other[finite]).max(initial=0.0) <= _TOLERANCE * scale)
