"""A model in pieces: the modules of its stages as graphs, for models that do not export whole.

The control flow between them stays in PyTorch. A piece has the inputs and outputs of its module:
nested lists, tuples and dictionaries of tensors, whose structure is stored as plain data.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.domain.model import InputSpec, Stage
from perfsuite.domain.shapes import InputShapes
from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, PerfsuiteError, Unsupported
from perfsuite.export.calls import called
from perfsuite.export.onnx import export_graph, graph_spec, load_graph
from perfsuite.export.spans import methods

if TYPE_CHECKING:
    import torch
    from torch import nn

PIECES = "pieces.json"
Structure = list[Any]  # a kind ("tensor", "list", "tuple", "dict", "value"), then the contents


class Piece(msgspec.Struct, frozen=True):
    """One module as a graph: `takes` is the structure of its arguments, `gives` of its result.

    `shapes` are those that its inputs had in the calls that were watched; empty in older exports.
    """

    path: str
    graph: str  # the file's name
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    takes: Structure
    gives: Structure
    shapes: InputShapes = {}


class Pieces(msgspec.Struct, frozen=True):
    """The pieces that `export_pieces` wrote.

    `whole` is the reason why the model is not exported whole; `left` are the modules that stay in
    PyTorch, with the reasons.
    """

    pieces: tuple[Piece, ...]
    whole: str
    left: dict[str, str] = {}


class _Call(msgspec.Struct, frozen=True):
    takes: Structure
    gives: Structure
    tensors: list[Any]


def piece_paths(module: nn.Module, stages: Sequence[Stage]) -> tuple[str, ...]:
    """Return the stages' modules that can be replaced: neither methods nor parents of a stage."""
    prefixes = [prefix for stage in stages for prefix in stage.modules]
    spans = set(methods(module, prefixes))
    return tuple(
        path
        for path in prefixes
        if path not in spans and not any(other.startswith(f"{path}.") for other in prefixes)
    )


def export_pieces(
    module: nn.Module, paths: Sequence[str], examples: Sequence[Inputs], folder: Path, whole: str
) -> Pieces:
    """Write each module at `paths` as a graph into `folder`, with `pieces.json`; return the pieces.

    `whole` is the reason why the model is not exported whole. The model runs on all `examples`;
    dimensions that differ between calls become dynamic. A module that is not called or cannot be
    exported stays in PyTorch. Raises `BuildError` if that is true for all of them.
    """
    calls = _watched(module, paths, examples)
    pieces: list[Piece] = []
    left: dict[str, str] = {}
    for index, path in enumerate(paths):
        try:
            graph = folder / f"piece{index}.onnx"
            pieces.append(_export(module.get_submodule(path), path, calls[path], graph))
        except PerfsuiteError as error:
            left[path] = str(error)
    if not pieces:
        why = "; ".join(f"{path}: {reason}" for path, reason in left.items())
        raise BuildError(f"{type(module).__name__} has no stage that exports: {why or 'no stages'}")
    found = Pieces(tuple(pieces), whole, left)
    (folder / PIECES).write_bytes(msgspec.json.encode(found))
    return found


def read_pieces(folder: Path) -> Pieces | None:
    """Return the pieces in `folder`; None if there are none."""
    path = folder / PIECES
    return msgspec.json.decode(path.read_bytes(), type=Pieces) if path.is_file() else None


def flatten(value: Any) -> tuple[Structure, list[torch.Tensor]]:
    """Return the structure of nested lists, tuples and dictionaries, and the tensors in them.

    Raises `Unsupported` for anything else in it that is not plain data.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return ["tensor"], [value]
    if value is None or isinstance(value, bool | int | float | str):
        if isinstance(value, float) and not math.isfinite(value):
            raise Unsupported(f"the number {value} cannot pass between PyTorch and an engine")
        return ["value", value], []
    tensors: list[torch.Tensor] = []

    def part(item: Any) -> Structure:
        structure, found = flatten(item)
        tensors.extend(found)
        return structure

    if type(value) in (list, tuple, torch.Size):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [part(item) for item in value]], tensors
    if type(value) in (dict, OrderedDict) and all(isinstance(key, str) for key in value):
        return ["dict", {key: part(item) for key, item in value.items()}], tensors
    raise Unsupported(f"a {type(value).__name__} cannot pass between PyTorch and an engine")


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Return the tensor's values; raise `Unsupported` for a type that NumPy has not."""
    try:
        return np.ascontiguousarray(tensor.detach().numpy())
    except TypeError as error:
        raise Unsupported(
            f"a tensor of {tensor.dtype} cannot pass between PyTorch and an engine"
        ) from error


def restore(structure: Structure, tensors: Iterator[Any]) -> Any:
    """Return the value of a `structure` that `flatten` gave, with `tensors` in its places."""
    kind, *rest = structure
    if kind == "tensor":
        return next(tensors)
    if kind == "value":
        return rest[0]
    if kind == "dict":
        return {key: restore(item, tensors) for key, item in rest[0].items()}
    items = [restore(item, tensors) for item in rest[0]]
    return items if kind == "list" else tuple(items)


def _watched(
    module: nn.Module, paths: Sequence[str], examples: Sequence[Inputs]
) -> dict[str, list[_Call | PerfsuiteError]]:
    """Return the calls of each module while the whole model runs on the examples."""
    import torch

    calls: dict[str, list[_Call | PerfsuiteError]] = {path: [] for path in paths}

    def watch(path: str) -> Callable[..., None]:
        def hook(_: Any, given: Any, named: Any, answer: Any) -> None:
            try:
                takes, tensors = flatten([list(given), named])
                kept = [tensor.clone() for tensor in tensors]  # later code may change them in place
                calls[path].append(_Call(takes, flatten(answer)[0], kept))
            except Unsupported as error:
                calls[path].append(error)

        return hook

    hooks = [
        module.get_submodule(path).register_forward_hook(watch(path), with_kwargs=True)
        for path in paths
    ]
    try:
        with torch.no_grad():
            for example in examples:
                called(module, example)
    finally:
        for handle in hooks:
            handle.remove()
    return calls


def _export(
    module: nn.Module, path: str, seen: Sequence[_Call | PerfsuiteError], graph: Path
) -> Piece:
    for one in seen:
        if isinstance(one, PerfsuiteError):
            raise one
    calls = [one for one in seen if isinstance(one, _Call)]
    if not calls:
        raise Unsupported("it is not called as a module")
    first = calls[0]
    if any((call.takes, call.gives) != (first.takes, first.gives) for call in calls):
        raise Unsupported("its arguments or answers differ in kind from call to call")
    if not first.tensors:
        raise Unsupported("it takes no tensor")
    spec = _spec(calls)
    largest = max(calls, key=lambda call: sum(tensor.numel() for tensor in call.tensors))
    example = {
        entry.name: as_array(tensor) for entry, tensor in zip(spec, largest.tensors, strict=True)
    }
    wrapped = _alone(module, path, first.takes)
    export_graph(wrapped, spec, example, graph)
    inputs, outputs = graph_spec(load_graph(graph))
    if [entry.name for entry in inputs] != [entry.name for entry in spec]:
        raise Unsupported("an argument has no influence on its answer")
    shapes = {
        entry.name: tuple(dict.fromkeys(tuple(call.tensors[index].shape) for call in calls))
        for index, entry in enumerate(spec)
    }
    return Piece(path, graph.name, spec, outputs, first.takes, first.gives, shapes)


def _spec(calls: Sequence[_Call]) -> tuple[InputSpec, ...]:
    """Return the inputs; dimensions that differ between calls have names, equal ones the same."""
    names: dict[tuple[int, ...], str] = {}
    entries = []
    for index, tensors in enumerate(zip(*(call.tensors for call in calls), strict=True)):
        if len({tensor.ndim for tensor in tensors}) > 1:
            raise Unsupported("it is called with tensors of different numbers of dimensions")
        shape: list[int | str] = []
        for sides in zip(*(tensor.shape for tensor in tensors), strict=True):
            same = len(set(sides)) == 1
            shape.append(sides[0] if same else names.setdefault(sides, f"side{len(names)}"))
        dtype = str(as_array(tensors[0]).dtype)
        entries.append(InputSpec(f"input{index}", dtype, tuple(shape)))
    return tuple(entries)


def _alone(module: nn.Module, path: str, takes: Structure) -> nn.Module:
    """Return a module with tensors as arguments, in which `module` has its path in the model."""
    from torch import nn

    inner = module
    for name in reversed(path.split(".")):
        holder = nn.Module()
        holder.add_module(name, inner)
        inner = holder
    return _adapter()(inner, path, takes)  # type: ignore[no-any-return]


@cache
def _adapter() -> Any:
    from torch import nn

    class Adapter(nn.Module):
        def __init__(self, holder: nn.Module, path: str, takes: Structure) -> None:
            super().__init__()
            for name, part in holder.named_children():
                self.add_module(name, part)
            self.path, self.takes = path, takes

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            given, named = restore(self.takes, iter(tensors))
            return tuple(flatten(self.get_submodule(self.path)(*given, **named))[1])

    return Adapter
