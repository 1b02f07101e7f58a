"""Stamps of verified files, stored beside them, so that they are not hashed each time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from perfsuite.store.disk import write_whole

NAME = "verified.json"


class Stamp(msgspec.Struct, frozen=True):
    """The size and times of a file when its content had the hash `sha256`."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str


def stamp(path: Path, sha256: str) -> Stamp:
    """Return the stamp of `path` as it is now; to be called before its content is read."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino, sha256)


def is_known(path: Path, sha256: str) -> bool:
    """Tell whether `path` was verified to have this hash and was not changed since."""
    return _read(path.parent).get(path.name) == stamp(path, sha256)


def remember(path: Path, verified: Stamp) -> None:
    """Store the stamp of `path`; if its folder cannot be written, the file is verified again later.

    If two processes store stamps at once, one may be lost, which costs another verification.
    """
    folder = path.parent
    content = msgspec.json.encode({**_read(folder), path.name: verified}, order="sorted")
    with suppress(OSError):  # read-only data or a full disk cost only time
        write_whole(folder / NAME, content)


def _read(folder: Path) -> dict[str, Stamp]:
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=dict[str, Stamp])
    except (OSError, msgspec.MsgspecError):  # no stamps yet, or an invalid file
        return {}
