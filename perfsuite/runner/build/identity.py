"""What models are told apart by: the bytes of a file, and what a module says of itself."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.export.state import state_parts, value_parts
from perfsuite.store.cache import key_of

if TYPE_CHECKING:
    from torch import nn


_BUILT_WITH = ("torch", "torchvision", "numpy", "safetensors")  # the modules of the table


def built_versions() -> Iterator[str]:
    """Yield the versions of all that builds a module of the table."""
    yield sys.version
    for name in _BUILT_WITH:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield name  # building it will say so, if it is needed


def onnx_key(path: Path) -> str:
    """Return the key of an ONNX file, its external data included."""
    from perfsuite.export.onnx import data_files

    return key_of("onnx", path, *data_files(path))


def structure_of(module: nn.Module) -> str:
    """Return a text of all of a module that its key depends on, except its weights.

    It has the plain attributes too, because `repr` may not show all that `forward` uses.
    """
    attributes = [
        f"{path}.{name}={value!r}"
        for path, part in module.named_modules()
        for name, value in sorted(vars(part).items())
        if is_plain(value) and name != "training"
    ]
    return "\n".join([repr(module), *attributes])


def unstored_parts(module: nn.Module) -> Iterator[str | bytes]:
    """Yield texts and bytes of what a module computes with, and neither its state nor `repr` has.

    They are buffers that are not persistent, parameters that a `state_dict` of a user's own leaves
    out, and tensors, arrays and modules in attributes, also in lists and dicts with plain values.
    What torch's own classes keep beside their state follows from it.
    """
    from torch import nn

    stored, usual = set(module.state_dict()), vars(nn.Module()).keys()
    tensors = (module.named_parameters(remove_duplicate=False), module.named_buffers())
    for name, tensor in itertools.chain(*tensors):
        if name not in stored:
            yield from (name, *value_parts(tensor))
    known = {id(one) for one in (*module.parameters(), *module.buffers(), *module.modules())}
    for path, part in module.named_modules():
        if type(part).__module__.startswith("torch."):
            continue
        for name, value in sorted(vars(part).items()):
            if name not in usual and not is_plain(value):
                found = list(_data(value, known))
                yield from (f"{path}.{name}", *found) if found else ()


def _data(value: Any, known: set[int]) -> Iterator[str | bytes]:
    """Yield texts and bytes of the data in a value, without what is `known` or was met before."""
    import torch

    if is_plain(value):
        yield repr(value)
        return
    if id(value) in known:
        return
    known.add(id(value))
    if isinstance(value, torch.nn.Module):
        yield from (structure_of(value), *state_parts(value))
    elif isinstance(value, torch.Tensor):
        yield from value_parts(value) if not value.is_meta else ()
    elif isinstance(value, np.ndarray | np.generic):
        yield from value_parts(np.asarray(value)) if not value.dtype.hasobject else ()
    else:
        for key, item in _items(value):
            found = list(_data(item, known))
            yield from (repr(key) if is_plain(key) else "", *found) if found else ()


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return what a container or a plain record holds; nothing of other objects."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    kind = type(value)
    record = dataclasses.is_dataclass(kind) or issubclass(kind, SimpleNamespace | Namespace)
    return list(getattr(value, "__dict__", {}).items()) if record else []


def is_plain(value: object) -> bool:
    """Tell whether the `repr` of `value` is complete, and the same in every process."""
    if isinstance(value, tuple | list):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | bytes)
