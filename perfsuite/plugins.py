"""One loader for workloads, passes and runtimes: a name of a table, an entry point, `file.py:name`.

Nothing else is ever imported on a user's word.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from perfsuite.errors import ConfigError


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or the list of known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(names) or 'none'}"


def names(kind: str, table: Mapping[str, Any]) -> list[str]:
    """Return the names that `load` knows for `kind`: the table's, then those of entry points."""
    return sorted({*table, *(point.name for point in entry_points(group=f"perfsuite.{kind}s"))})


def load(kind: str, reference: str, table: Mapping[str, Callable[[], Any]]) -> Any:
    """Return the plug-in that `reference` names.

    `kind` is `workload`, `pass` or `runtime`. A table's entries are functions without arguments
    that return the plug-in. Raises `ConfigError` for what cannot be found or imported.
    """
    if reference in table:
        return table[reference]()
    if ".py:" in reference:
        return _from_file(kind, reference)
    for point in entry_points(group=f"perfsuite.{kind}s"):
        if point.name == reference:
            return point.load()
    raise ConfigError(
        f"unknown {kind} '{reference}'{suggestion(reference, names(kind, table))}"
        f" (your own: file.py:name)"
    )


def source_digest(reference: str) -> str:
    """Return the SHA-256 of a plug-in's file, or an empty text for a name."""
    if ".py:" not in reference:
        return ""
    return hashlib.sha256(Path(reference.rpartition(":")[0]).read_bytes()).hexdigest()


def _from_file(kind: str, reference: str) -> Any:
    file, _, name = reference.rpartition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise ConfigError(f"{kind} '{reference}': there is no file {file}")
    module_name = f"perfsuite_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    module = sys.modules.get(module_name)
    if module is None:
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{kind} '{reference}': {file} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        # Its neighbours are importable, as they are when a user runs the file as a script.
        sys.path.insert(0, str(path.parent))
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise ConfigError(
                f"{kind} '{reference}': importing {file} failed with "
                f"{type(error).__name__}: {error}"
            ) from error
        finally:
            sys.path.remove(str(path.parent))
    if not hasattr(module, name):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise ConfigError(f"{kind} '{reference}': {file} has no '{name}'{suggestion(name, known)}")
    return getattr(module, name)
