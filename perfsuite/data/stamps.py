"""Files whose content was verified, remembered beside them, so that it is not hashed each time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

import msgspec

NAME = "verified.json"


class Stamp(msgspec.Struct, frozen=True):
    """What a file looked like when its content was found to have the hash `sha256`."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str


def stamp(path: Path, sha256: str) -> Stamp:
    """Return the stamp of `path` as it is now; take it before its content is read."""
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino, sha256)


def is_known(path: Path, sha256: str) -> bool:
    """Tell whether `path` was found to have this hash, and was not written since."""
    return _read(path.parent).get(path.name) == stamp(path, sha256)


def remember(path: Path, verified: Stamp) -> None:
    """Keep the stamp of `path`, if its folder can be written; else it will be verified again.

    Of two processes at once, one may forget what the other kept: that costs a verification.
    """
    folder = path.parent
    content = msgspec.json.encode({**_read(folder), path.name: verified}, order="sorted")
    with suppress(OSError):  # read-only data, a full disk: nothing is lost but time
        number, partial = mkstemp(prefix=f".{NAME}.", dir=folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            Path(partial).chmod(0o644)  # whoever may read the data may read this
            Path(partial).replace(folder / NAME)
        except OSError:
            Path(partial).unlink()
            raise


def _read(folder: Path) -> dict[str, Stamp]:
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=dict[str, Stamp])
    except (OSError, msgspec.MsgspecError):  # none yet, or none that can be believed
        return {}
