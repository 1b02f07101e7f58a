"""Where the checkpoints of passes lie while they are at work."""

from __future__ import annotations

from pathlib import Path

from perfsuite.store.places import home


def checkpoints() -> Path:
    """Return the folder of the checkpoints of passes, by the keys of their results."""
    return home() / "checkpoints"


def remove_checkpoints(key: str) -> None:
    """Remove those of the result with this key."""
    for file in checkpoints().glob(f"{key}*"):
        file.unlink()
