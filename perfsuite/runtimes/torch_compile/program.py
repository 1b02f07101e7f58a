"""The exported program of a module: whole, and with open dimensions open.

A module that `torch.export` refuses is compiled as it is, in as many graphs as its code falls into.
"""

from __future__ import annotations

import inspect
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, Variant
from perfsuite.domain.task import Inputs
from perfsuite.errors import SchemaError
from perfsuite.export.calls import flattened
from perfsuite.runtimes.pytorch.card import Placement
from perfsuite.runtimes.shared.base import trimmed

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

PROGRAM = "program.pt2"
_LEAST = 2  # samples: an exporter takes a dimension of 0 or 1 for a constant
_ENOUGH = 4096  # for what is called in larger batches than the timed one
_FIXES = "Suggested fixes:"  # of torch.export, where its code bears not every length
_BOUND = re.compile(r"(\w+) = Dim\('\1'(, (min|max)=\d+)*\)")


def example_of(variant: Variant, manifest: Manifest, least: int = 1) -> Inputs:
    """Return inputs of the timed calls, with at least so many samples; zeros where none are known.

    Every open dimension has at least the length `least`.
    """
    given = variant.example or {
        one.name: np.zeros([_length(side, manifest) for side in one.shape], one.dtype)
        for one in manifest.inputs
    }
    return {one.name: _grown(given[one.name], one, least) for one in manifest.inputs}


def _length(side: int | str, manifest: Manifest) -> int:
    if isinstance(side, int):
        return side
    return manifest.batch if side == "batch" else _LEAST


def _grown(array: np.ndarray, spec: InputSpec, least: int) -> np.ndarray:
    for axis, side in enumerate(spec.shape):
        if isinstance(side, str) and array.shape[axis] < least:
            array = np.repeat(array, least, axis)
    return array


def exported(
    module: nn.Module, variant: Variant, manifest: Manifest
) -> tuple[ExportedProgram | None, str]:
    """Return the program of a module in evaluation mode, on its device in its precision.

    Where torch.export refuses it there is none, but the reason.
    """
    import torch

    example = example_of(variant, manifest, _LEAST)
    place = Placement(manifest.device, manifest.precision, False)
    with torch.no_grad(), flattened(module, example), _quiet():
        placed = place.module(module)
        arguments = tuple(place.tensor(array) for array in example.values())
        try:
            shapes = _open_sides(manifest.inputs)
            if _takes_any(placed):
                shapes = (shapes,)
            return _exported(placed, arguments, shapes), ""
        except Exception as error:  # noqa: BLE001 - it raises whatever a model raises
            first = trimmed(str(error).strip().partition("\n")[0])
            return None, f"{type(error).__name__}: {first}"


def _exported(module: nn.Module, arguments: tuple[Any, ...], shapes: Any) -> ExportedProgram:
    """Return the program; where its code bears no length beyond some bound, it is known up to that.

    On a card a batch norm in fp32 bears 65,535 samples, which torch.export wants to be told.
    """
    import torch
    from torch._dynamo.exc import UserError

    try:
        return torch.export.export(module, arguments, dynamic_shapes=shapes)
    except UserError as error:
        bounded = _bounded(shapes, str(error.msg))
        if bounded is None:
            raise
        return torch.export.export(module, arguments, dynamic_shapes=bounded)


def _bounded(shapes: Any, refusal: str) -> Any:
    """Return open sides with the bounds that a refusal suggests; None where these leave too little.

    So does whatever else is suggested, such as a constant length or a multiple of a number.
    """
    from torch.export.dynamic_shapes import refine_dynamic_shapes_from_suggested_fixes
    from torch.utils._pytree import tree_leaves

    head, mark, tail = refusal.partition(_FIXES)
    if not mark:
        return None
    fixes = [line for line in tail.strip().partition("\n\n")[0].splitlines() if " = " in line]
    if not all(_BOUND.fullmatch(line.strip()) for line in fixes):
        return None
    found = refine_dynamic_shapes_from_suggested_fixes(head + mark + "\n".join(fixes), shapes)
    reach = [(int(one.min), int(one.max)) for one in tree_leaves(found)]
    return found if all(least <= _LEAST and most >= _ENOUGH for least, most in reach) else None


def _open_sides(inputs: Sequence[InputSpec]) -> tuple[Any, ...]:
    from torch.export import Dim

    names = {side for one in inputs for side in one.shape if isinstance(side, str)}
    dims = {name: Dim(name) for name in sorted(names)}
    return tuple(
        {axis: dims[side] for axis, side in enumerate(one.shape) if isinstance(side, str)}
        for one in inputs
    )


def _takes_any(module: nn.Module) -> bool:
    """Tell whether `forward` takes tensors in one `*tensors`."""
    kinds = [one.kind for one in inspect.signature(module.forward).parameters.values()]
    return kinds == [inspect.Parameter.VAR_POSITIONAL]


def loaded(path: Path) -> nn.Module:
    """Return the module of a stored program; raise `SchemaError` where it cannot be read."""
    import torch

    from perfsuite.export import binary_torch

    binary_torch.operator()  # a program may call it, and is not read where torch has it not
    try:
        with _quiet():
            return torch.export.load(path).module()
    except Exception as error:
        raise SchemaError(
            f"{path}: torch cannot read this exported program ({trimmed(str(error))}); it is "
            f"corrupt or of another version: build the artifact again"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says beside its answer from the terminal, within the context."""
    told = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(told), redirect_stderr(told):
        warnings.simplefilter("ignore")
        yield
