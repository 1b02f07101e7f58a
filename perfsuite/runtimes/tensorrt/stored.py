"""What an engine learns and may read again: times of kernels, and kernels compiled for a card.

Both are files beside the cache, one for each card, driver and version; one that is damaged or of
something else is made anew. They change no answer, only how long building and opening take.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from perfsuite.errors import PerfsuiteError
from perfsuite.store.disk import locked, write_whole
from perfsuite.store.places import home

FOLDER = "tensorrt"


def place(kind: str, *parts: str) -> Path:
    """Return the file of a `kind` for all that its content depends on."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return home() / FOLDER / f"{kind}-{digest}"


def read(path: Path) -> bytes:
    """Return what is stored; nothing if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def write(path: Path, content: bytes) -> None:
    """Store `content` unless it is there already; a disk that is full costs no more than time."""
    if not content or read(path) == content:
        return
    with suppress(OSError, PerfsuiteError), locked(path.parent, ".lock"):
        write_whole(path, content)
