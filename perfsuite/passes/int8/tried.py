"""What was found of the layers of a graph, in a file, so that a search that is killed goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from perfsuite.store.disk import writable, write_whole
from perfsuite.store.room import room_for


class Tried:
    """Numbers by what they are and of which layers, kept in the JSON file `path`.

    A file that is not valid is replaced, and infinity, which JSON has not, is found anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._found = msgspec.json.decode(path.read_bytes(), type=dict[str, float])
        except (FileNotFoundError, msgspec.DecodeError):
            self._found = {}

    def once(self, what: str, layers: Iterable[str], find: Callable[[], float]) -> float:
        """Return a number that was found before, or what `find` returns, which is then kept.

        Raises `PerfsuiteError` when the disk is full.
        """
        key = msgspec.json.encode([what, *sorted(layers)]).decode()
        if key not in self._found:
            self._found[key] = find()
            finite = {name: one for name, one in self._found.items() if math.isfinite(one)}
            writable(self._path.parent)
            with room_for(self._path):
                write_whole(self._path, msgspec.json.encode(finite))
        return self._found[key]
