"""What a user may have to change where a module's forward fails on the inputs that it is given."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.errors import PerfsuiteError
from perfsuite.export.calls import called, lacks_places, tensors_of
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn

_NOT_TAKEN = ("float64", "uint8")  # types in which pictures often come
_OF_PICTURES, _CHANNELS = 4, (1, 3, 4)  # axes of a batch of pictures, and how many channels


def forward_hint(module: nn.Module, inputs: Inputs) -> str:
    """Return what may be the reason, in words; '' where none is known."""
    hints = (_of_types, _of_conversion, _of_packing, _of_places)
    return next(filter(None, (hint(module, inputs) for hint in hints)), "")


def _of_types(module: nn.Module, inputs: Inputs) -> str:
    import torch

    weights = {one.dtype for one in module.parameters() if one.is_floating_point()}
    given = {str(array.dtype) for array in inputs.values() if array.dtype.kind == "f"}
    if len(weights) != 1 or torch.float32 in weights or not given:
        return ""
    own = str(next(iter(weights))).removeprefix("torch.")
    if own in given:
        return ""
    return (
        f"its weights are {own} and inputs() gives {' and '.join(sorted(given))}: let forward "
        f"convert its inputs (x.to(torch.{own})), or build() return net.float(); suites ask for "
        f"lower precisions by `precision`"
    )


def _of_conversion(module: nn.Module, inputs: Inputs) -> str:
    """Return what to convert, if the module takes what it is given once that is done."""
    for steps in ((_floats,), (_channels_first,), (_channels_first, _floats)):
        changed, told = inputs, list[str]()
        for step in steps:
            changed, words = step(changed)
            told.append(words)
        if all(told) and _answers(module, changed):
            return "; and ".join(told)
    return ""


def _floats(inputs: Inputs) -> tuple[Inputs, str]:
    """Return inputs in float32 where they are of another type in which pictures often come."""
    found = {name: array for name, array in inputs.items() if str(array.dtype) in _NOT_TAKEN}
    kinds = sorted({str(array.dtype) for array in found.values()})
    floats = {name: array.astype(np.float32) for name, array in found.items()}
    return {**inputs, **floats}, (
        f"inputs() gives {' and '.join(kinds)} where it takes float32: give "
        f"x.astype(numpy.float32){', scaled as in training' * ('uint8' in kinds)}"
    ) if found else ""


def _channels_first(inputs: Inputs) -> tuple[Inputs, str]:
    """Return pictures with the axis of channels before those of height and width."""
    found = {
        name: np.moveaxis(array, -1, 1)
        for name, array in inputs.items()
        if array.ndim == _OF_PICTURES and array.shape[-1] in _CHANNELS
    }
    return {**inputs, **found}, (
        "inputs() gives pictures with their channels last, where it takes these before height and "
        "width: give x.transpose(0, 3, 1, 2)"
    ) if found else ""


def _answers(module: nn.Module, inputs: Inputs) -> bool:
    import torch

    try:
        with user_code("trying it"), torch.no_grad():
            called(module, inputs)
    except PerfsuiteError:  # it was something else
        return False
    return True


def _of_places(module: nn.Module, inputs: Inputs) -> str:
    """Return how many inputs forward takes, if there are more or fewer."""
    taken = lacks_places(module, len(inputs))
    if not taken:
        return ""
    return (
        f"forward takes {taken}, and inputs() gives {', '.join(inputs)} (the last array of a data "
        f"loader's batch is taken for targets, unless it is in Batches(loader, targets=False))"
    )


def _of_packing(module: nn.Module, inputs: Inputs) -> str:
    """Return how forward's parameter must be annotated, if it answers a list or a dict."""
    import torch

    try:
        parameters = list(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):
        return ""
    if not parameters:
        return ""
    tensors = tensors_of(inputs)
    listed = list(tensors[0].unbind(0)) if len(tensors) == 1 and tensors[0].ndim else tensors
    for packed, words in (
        (listed, "list[torch.Tensor]"),
        (dict(zip(inputs, tensors, strict=True)), "dict[str, torch.Tensor]"),
    ):
        try:
            with user_code("trying it"), torch.no_grad():
                module(packed)
        except PerfsuiteError:  # it does not take this either
            continue
        return f"say what it takes by an annotation: forward(self, {parameters[0]}: {words})"
    return ""
