"""Whether a module answers alike each time: an engine can only repeat what follows from the inputs.

Dropout that is left on, noise, and state that one call leaves for the next make answers differ, and
every comparison with an engine would blame the export for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError
from perfsuite.runner.build.reference import module_outputs

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
    first, second, state = _twice(module, inputs)
    index = _differing(first, second)
    if index is None:
        return first, ""
    who, where = type(module).__name__, f"output {index} of {len(first)}"
    if state:
        return first, (
            f"{who} answers otherwise the second time it is given the same inputs ({where}): its "
            f"forward changes '{state[0]}', which the next call reads. An engine keeps no such "
            f"state; give it in inputs() and let forward return it, or reset it in forward"
        )
    left = [path for path, part in module.named_modules() if path and part.training]
    mode = (
        f"; '{left[0]}' is still in training mode after eval(), as a train() of its own decides"
        if left
        else ""
    )
    return first, (
        f"{who} answers by chance: given the same inputs twice, {where} differs{mode}. Dropout "
        f"must be off in evaluation mode (F.dropout needs training=self.training), and noise must "
        f"be an input or come from a generator that forward seeds"
    )


def _twice(module: nn.Module, inputs: Inputs) -> tuple[Outputs, Outputs, list[str]]:
    """Return the answers of two calls, and the names of what the first of them changed."""
    with _put_back(module) as before:
        first = module_outputs(module, inputs)
        changed = [name for name, now in _state(module) if not _alike(before.get(name), now)]
        second = module_outputs(module, inputs)
    return first, second, changed


@contextmanager
def _put_back(module: nn.Module) -> Iterator[dict[str, Any]]:
    """Yield copies of the module's buffers and tensors, which are put back afterwards."""
    import torch

    before = {name: value.clone() for name, value in _state(module)}
    owners = dict(module.named_modules())
    try:
        yield before
    finally:
        with torch.no_grad():
            for name, value in _state(module):
                if name in before and not _alike(before[name], value):
                    path, _, own = name.rpartition(".")
                    part = owners[path]
                    held: Any = part._buffers if own in part._buffers else vars(part)
                    held[own] = before[name]


def _state(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what calls may change: buffers, and tensors that are plain attributes, by name."""
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
