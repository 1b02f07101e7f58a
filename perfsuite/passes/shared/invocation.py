"""How a pass copies, calls and reads the net that it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.calls import answer, evaluated
from perfsuite.export.state import duplicate

if TYPE_CHECKING:
    import torch
    from torch import nn


def call(model: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Return the tensors that `model` answers in evaluation mode; it is left in that mode."""
    import torch

    with torch.no_grad():
        return answer(evaluated(model), inputs)


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of `model` that shares no memory with it.

    Raises `Unsupported` for a net that cannot be copied.
    """
    try:
        return duplicate(model)
    except Exception as error:  # whatever a user's module raises
        raise Unsupported(
            f"{type(model).__name__} cannot be copied ({first_line(error)}); passes try their "
            f"changes on copies, so copy.deepcopy must work on it"
        ) from error


def teacher_of(model: nn.Module, ctx: PassContext) -> nn.Module:
    """Return the net that teaches a changed `model`: the workload's own, before all passes.

    It shares no memory with `model` and is in evaluation mode.
    """
    return evaluated(copied(model) if ctx.original is None else ctx.original())


def first_line(error: Exception) -> str:
    """Return the class of an error and the first line of its message."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
