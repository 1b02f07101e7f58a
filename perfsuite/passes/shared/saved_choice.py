"""What a pass chose by the clock: kept on disk, because a clock never answers twice the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from perfsuite.domain.recipe import Target
from perfsuite.store.disk import room_for, writable

Choice = TypeVar("Choice")


def clock_identity(target: Target) -> str:
    """Return, as text, all that the engine's answers on `target` follow from."""
    return msgspec.json.encode(target, order="sorted").decode()


def load_or_choose(path: Path, kind: type[Choice], choose: Callable[[], Choice]) -> Choice:
    """Return the `kind` in the JSON file `path`; if there is none, what `make` gives, and write it.

    A fit that was killed then takes up its training with the shapes that it began with. The file is
    written beside its place and renamed; one that holds anything else is made anew. Values come as
    they are read back: lists, no tuples. Raises `PerfsuiteError` when the disk is full.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        data = msgspec.json.encode(choose())
    writable(path.parent)
    beside = path.with_name(f"{path.name}.partial")
    with room_for(path):
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    return msgspec.json.decode(data, type=kind)
