"""What models are told apart by: the bytes of a file, and what a module says of itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

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


def is_plain(value: object) -> bool:
    """Tell whether the `repr` of `value` is complete, and the same in every process."""
    if isinstance(value, tuple | list):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str | bytes)
