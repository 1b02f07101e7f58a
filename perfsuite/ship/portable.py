"""Paths in what is shipped are relative to the folder that it is shipped to."""

from __future__ import annotations

import os
import shlex
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
    return shlex.join(map(_last, shlex.split(text)))


def _last(word: str) -> str:
    option, equals, value = word.rpartition("=")  # as in --ship=/folder
    return option + equals + (Path(value).name if Path(value).is_absolute() else value)


def _relative(text: str, folder: Path) -> str:
    file, colon, name = text.rpartition(":") if ".py:" in text else (text, "", "")
    if not Path(file).is_absolute():
        return text
    return Path(os.path.relpath(file, folder)).as_posix() + colon + name
