"""How a pass copies, calls and reads the net that it was given."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn


def arguments(inputs: Inputs) -> list[torch.Tensor]:
    """Return the arguments of a net's `forward`; they share the memory of the arrays."""
    import torch

    return [torch.from_numpy(value) for value in inputs.values()]


def call(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Return the tensors that `model` answers in evaluation mode; it is left in that mode."""
    import torch

    with torch.no_grad():
        answer = model.eval()(*arguments(inputs))
    return list(tensors_in(answer))


def tensors_in(answer: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested tuples, lists and dicts, in their order."""
    import torch

    if isinstance(answer, torch.Tensor):
        yield answer
    elif isinstance(answer, dict):
        yield from tensors_in(list(answer.values()))
    elif isinstance(answer, list | tuple):
        for item in answer:
            yield from tensors_in(item)


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of `model` that shares no memory with it.

    Raises `Unsupported` for a net that cannot be copied, such as one with weights that torch's
    older `torch.nn.utils.weight_norm` computes in a hook.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever a user's module raises
        raise Unsupported(
            f"{type(model).__name__} cannot be copied ({first_line(error)}); passes try their "
            f"changes on copies, so copy.deepcopy must work on it"
        ) from error


def tensors_of(model: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers of `model` as NumPy arrays, by name."""
    return {
        name: tensor.detach().cpu().contiguous().numpy().copy()
        for name, tensor in model.state_dict().items()
    }


def first_line(error: Exception) -> str:
    """Return the class of an error and the first line of its message."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
