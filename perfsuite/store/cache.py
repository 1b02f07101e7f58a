"""The cache: folders that were built once, found by the hash of all that they depend on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.store.disk import locked, replacing
from perfsuite.store.places import home
from perfsuite.store.room import filling, room_for


def key_of(*parts: str | bytes | Path) -> str:
    """Return 64 hexadecimal digits, the SHA-256 over the SHA-256 of each part and its kind.

    A path stands for the bytes of its file, and gives the same key as these; a text differs from
    bytes. As each part has a digest of its own, different lists of parts have different keys.
    """
    chain = hashlib.sha256()
    for part in parts:
        chain.update(b"text" if isinstance(part, str) else b"data")
        chain.update(_digest(part))
    return chain.hexdigest()


def _digest(part: str | bytes | Path) -> bytes:
    if isinstance(part, str):
        return hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest()
    if isinstance(part, bytes):
        return hashlib.sha256(part).digest()
    try:
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ConfigError(f"{part}: cannot be read: {error.strerror}") from error


class NotCached(PerfsuiteError):
    """What was asked of a sealed cache is not there."""


SHIPPED = Path(__file__).parent.parent / "workloads/zoo/trained"


class Cache:
    """Folders at `root/kind/key`; a folder that exists is complete.

    `root` is `PERFSUITE_HOME/cache` if it is not given. What it lacks may come with perfsuite, in
    `SHIPPED`, where nothing is ever written. Into a cache that is `sealed` nothing is built.
    """

    def __init__(self, root: Path | None = None, *, sealed: bool = False) -> None:
        self.root = home() / "cache" if root is None else root
        self.sealed = sealed

    def get(self, kind: str, key: str) -> Path | None:
        """Return the folder of `key`, or None if it was not built yet and does not ship."""
        places = (root / kind / key for root in (self.root, SHIPPED))
        return next((folder for folder in places if folder.is_dir()), None)

    def build(self, kind: str, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """Return the folder of `key`, and whether it was made now.

        `make` fills an empty folder; if it raises, nothing is kept, and its error is raised. While
        another process makes the same folder, this one waits. Raises `ConfigError` if the cache
        cannot be written, `DiskFull` when there is no room for it, and `NotCached` if it is sealed
        and lacks the folder.
        """
        found = self.get(kind, key)
        if found is not None:
            return found, False
        if self.sealed:
            raise NotCached(f"there is no {kind} {key} in the cache")
        with locked(self.root / kind, f"{key}.lock"):
            found = self.get(kind, key)  # made by another process while this one waited
            if found is not None:
                return found, False
            self._sweep(kind, held=key)
            return self._make(kind, key, make), True

    def _make(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        final = self.root / kind / key
        with room_for(final), replacing(final) as beside:
            beside.mkdir()
            with filling(beside):
                make(beside)
        return final

    def _sweep(self, kind: str, held: str) -> None:
        """Remove incomplete folders of processes that were killed: their locks are free or held."""
        for left in (self.root / kind).glob("*.partial"):
            key = left.name.partition(".")[0]
            try:
                with FileLock(left.with_name(f"{key}.lock")).acquire(blocking=False):
                    shutil.rmtree(left, ignore_errors=True)
            except Timeout:
                if key == held:  # by this process
                    shutil.rmtree(left, ignore_errors=True)
