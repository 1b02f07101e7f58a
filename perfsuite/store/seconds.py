"""How long something in the cache took to be made: kept beside it, so that it can be forecast."""

from __future__ import annotations

from pathlib import Path

_FILE = "seconds.txt"


def write_seconds(folder: Path, seconds: float) -> None:
    """Write how long what lies in `folder` took."""
    (folder / _FILE).write_text(repr(seconds), encoding="ascii")


def read_seconds(folder: Path | None) -> float:
    """Return how long it took; 0 where that is not told, as of what comes with perfsuite."""
    file = folder / _FILE if folder is not None else None
    return float(file.read_text(encoding="ascii")) if file is not None and file.is_file() else 0.0
