"""The reference by which another process finds an object of this one: a name or `file.py:name`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from perfsuite.config.conversion import Location
from perfsuite.plugins import GROUPS


def reference_of(kind: str, plugin: object, table: Mapping[str, object], location: Location) -> str:
    """Return what a suite file would call a plug-in: a text as it is, an object by where it stands.

    `kind` is one of `plugins.GROUPS`, `table` that kind's own names and what they stand for. Every
    job runs in a process of its own, which imports the file again. Raises `ConfigError`, beginning
    with `location`, for an object that no Python file has under a name.
    """
    if isinstance(plugin, str | os.PathLike):
        return os.fspath(plugin)
    for name, entry in table.items():
        if entry is plugin:
            return name
    for point in entry_points(group=GROUPS[kind]):
        if getattr(sys.modules.get(point.module), point.attr, None) is plugin:
            return point.name
    if type(plugin).__module__ == "builtins" and not callable(plugin):
        raise location.error(f"{plugin!r} is no {kind}")
    for module in _modules(getattr(plugin, "__module__", "")):
        names = [name for name, value in list(vars(module).items()) if value is plugin]
        if names:
            own = getattr(plugin, "__name__", "")
            return f"{Path(str(module.__file__)).resolve()}:{own if own in names else names[0]}"
    raise location.error(
        f"{_described(plugin)} has no name in a Python file, and every job runs in a process of "
        f"its own, which must find it there; give it a name at the top level of a file and import "
        f'it from there, or write "file.py:name"'
    )


def _modules(defined_in: str) -> list[ModuleType]:
    """Return the modules that are Python files, first the one that an object says it is defined in.

    The program comes last: to import it again would do what else it does.
    """
    files = [
        module
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType) and str(vars(module).get("__file__")).endswith(".py")
    ]
    return sorted(files, key=lambda one: (one.__name__ != defined_in, one.__name__ == "__main__"))


def _described(plugin: object) -> str:
    name = getattr(plugin, "__qualname__", None)
    return f"'{name}'" if name else f"this object, a {type(plugin).__name__},"
