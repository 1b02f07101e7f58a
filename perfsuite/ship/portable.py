"""Paths in what is shipped are relative to the folder that it is shipped to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def portable(value: Any, folder: Path) -> Any:
    """Return plain data whose absolute paths are relative to `folder`, wherever in it they stand.

    A path may be followed by a name, as in `file.py:name`.
    """
    if isinstance(value, str):
        return _relative(value, folder)
    if isinstance(value, Mapping):
        return {key: portable(one, folder) for key, one in value.items()}
    if isinstance(value, Sequence):
        return [portable(one, folder) for one in value]
    return value


def named(text: str) -> str:
    """Return a command in which an absolute path stands as its last part alone."""
    words = (Path(word).name if Path(word).is_absolute() else word for word in text.split(" "))
    return " ".join(words)


def _relative(text: str, folder: Path) -> str:
    file, colon, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    if not Path(file).is_absolute():
        return text
    return Path(os.path.relpath(file, folder)).as_posix() + colon + name
