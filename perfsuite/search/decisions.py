"""The decisions of a search, `search.jsonl`: each is stored once it is made, and made once.

What follows from measured times, as how long a training may be, would come out otherwise if it were
decided again after a kill. So it is not: a search that goes on reads what it decided.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from filelock import FileLock, Timeout

from perfsuite.errors import ConfigError, PerfsuiteError, SchemaError
from perfsuite.store.disk import append_whole

FILE, LOCK = "search.jsonl", ".search.lock"
EARLIER = "earlier-"  # sub-folders of searches that ended before there was more time
SCHEMA = 1

T = TypeVar("T")


class _Decision(msgspec.Struct, frozen=True):
    name: str
    value: msgspec.Raw
    schema: int = SCHEMA


class Decisions:
    """The decisions in a folder, which one process at a time may add to; a context manager."""

    def __init__(self, folder: Path, *, resume: bool) -> None:
        """Open them.

        Raises `ConfigError` for a folder that cannot be written, that another process is writing
        to, that is not empty or, to `resume`, has no search; `SchemaError` for a corrupt file.
        """
        self._path = folder / FILE
        if resume and not self._path.is_file():
            raise ConfigError(f"{folder}: there is no search to go on with ({FILE} is missing)")
        if not resume and self._path.exists():
            raise ConfigError(
                f"{folder}: there is a search already; go on with it (--resume), or choose another "
                f"folder (-o)"
            )
        others = (one for one in folder.glob("[!.]*") if not one.name.startswith(EARLIER))
        if not resume and any(True for _ in others):
            raise ConfigError(
                f"{folder}: it holds something else already; choose another folder for the search "
                f"(-o)"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / LOCK)
            self._lock.acquire(blocking=False)
            self._made, whole = _read(self._path)
            self._file = self._path.open("ab", buffering=0)
            self._file.truncate(whole)
        except Timeout as error:
            raise ConfigError(f"{folder}: another process is searching there") from error
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error

    def once(self, name: str, kind: type[T], decide: Callable[[], T]) -> T:
        """Return the decision `name`: the stored one or, if there is none, what `decide` returns.

        That is on the disk before it is returned. Raises `PerfsuiteError` if it cannot be written.
        """
        if name in self._made:
            try:
                return msgspec.json.decode(self._made[name], type=kind)
            except msgspec.DecodeError as error:
                raise SchemaError(
                    f"{self._path}: the decision '{name}' cannot be read: {error}"
                ) from error
        value = decide()
        encoded = msgspec.Raw(msgspec.json.encode(value))
        try:
            line = msgspec.json.encode(_Decision(name, encoded)) + b"\n"
            append_whole(self._file.fileno(), line)
        except OSError as error:
            raise PerfsuiteError(
                f"{self._path}: the decision '{name}' cannot be written: {error.strerror}; make "
                f"room, then go on with --resume"
            ) from error
        self._made[name] = encoded
        return value

    def knows(self, name: str) -> bool:
        """Tell whether the decision was made."""
        return name in self._made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.release()


def _read(path: Path) -> tuple[dict[str, Any], int]:
    """Return the decisions by name, and the length of the whole lines; the last may be torn."""
    made: dict[str, Any] = {}
    whole = 0
    rows = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for number, row in enumerate(rows, start=1):
        try:
            one = msgspec.json.decode(row, type=_Decision)
        except msgspec.DecodeError as error:
            if number == len(rows):
                break
            raise SchemaError(
                f"{path}: line {number} is corrupt: {error}; restore the file, or start a new "
                f"search in another folder (-o), for which all that was made is in the cache"
            ) from error
        if one.schema > SCHEMA:
            raise SchemaError(f"{path}: written by a newer perfsuite; upgrade it to go on")
        if not row.endswith(b"\n"):
            break
        made[one.name] = one.value
        whole += len(row)
    return made, whole
