"""How a pass copies and calls the model that it was given, and the tensors in the answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    import torch
    from torch import nn


def call(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Return the tensors that `model` answers in evaluation mode; it is left in that."""
    import torch

    with torch.no_grad():
        answer = model.eval()(*(torch.from_numpy(value) for value in inputs.values()))
    return list(tensors_in(answer))


def tensors_in(answer: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    import torch

    if isinstance(answer, torch.Tensor):
        yield answer
    elif isinstance(answer, dict):
        yield from tensors_in(list(answer.values()))
    elif isinstance(answer, list | tuple):
        for item in answer:
            yield from tensors_in(item)


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of `model` that shares nothing with it.

    Raises `Unsupported` for one that cannot be copied, as with weights that older hooks of torch
    (`torch.nn.utils.weight_norm`) compute.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever a user's module raises
        raise Unsupported(
            f"prune: {type(model).__name__} cannot be copied ({first_line(error)}); it must stand "
            f"copy.deepcopy"
        ) from error


def first_line(error: Exception) -> str:
    """Return the class of an error and the first line of what it says."""
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
