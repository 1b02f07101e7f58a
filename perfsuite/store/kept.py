"""Artifacts that travel with a run: copies in its folder, each with a list of its files."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from perfsuite.domain.runtime import MANIFEST
from perfsuite.errors import PerfsuiteError, SchemaError
from perfsuite.store.disk import replacing

FOLDER = "artifacts"  # in the folder of the run
LIST = "files.sha256"  # in the folder of an artifact, as `sha256sum -c` reads it

_KEY = re.compile(r"[0-9a-f]{64}")


def is_key(key: str) -> bool:
    """Return whether `key` is one of an artifact, and so may be the name of a folder."""
    return _KEY.fullmatch(key) is not None


def keep(run: Path, key: str, artifact: Path) -> Path:
    """Return the folder of a copy of `artifact` in the folder `run`, made unless it is there.

    A copy that is not whole is made anew. Raises `PerfsuiteError` when it cannot be written, as on
    a full disk; what was written of it is removed then.
    """
    final = run / FOLDER / key
    try:
        if final.is_dir() and fault(final) is None:
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        for left in final.parent.glob(f"{key}.*.partial"):  # of a process that was killed
            shutil.rmtree(left)
        with replacing(final) as beside:
            beside.mkdir()
            copy_files(artifact, beside)
            (beside / LIST).write_text(_listed(beside))
            if final.is_dir():
                shutil.rmtree(final)
    except OSError as error:
        raise PerfsuiteError(
            f"{final}: the artifact cannot be kept: {error.strerror}; no measurement is lost: make "
            f"room, then go on with --resume --keep-artifacts"
        ) from error
    return final


def kept(run: Path, key: str) -> Path | None:
    """Return the folder of an artifact that travels with the run in `run`; None if it does not.

    Raises `SchemaError` unless each file is as it was kept, and names the one that is not.
    """
    folder = run / FOLDER / key
    if not folder.is_dir():
        return None
    told = fault(folder)
    if told is not None:
        raise SchemaError(told)
    return folder


def fault(folder: Path) -> str | None:
    """Return which file of an artifact's copy is not as it was kept; None if all are."""
    try:
        rows = (folder / LIST).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return f"{folder / LIST}: the list of the artifact's files cannot be read ({error})"
    listed = {name: digest for digest, _, name in (row.partition("  ") for row in rows)}
    for name in (MANIFEST, *_names(folder)):
        if name not in listed and name != LIST:
            return (
                f"{folder / LIST}: the list of the artifact's files is not whole, it lacks {name}"
            )
    for name, digest in listed.items():
        path = folder / name
        try:
            if _digest(path) != digest:
                return f"{path}: not as it was kept, its SHA-256 is another"
        except OSError as error:
            return f"{path}: not as it was kept ({error.strerror})"
    return None


def digest_of_list(folder: Path) -> str:
    """Return the SHA-256 of the list of an artifact's files, and so of all that they hold.

    Raises `OSError` if there is none.
    """
    return _digest(folder / LIST)


def copy_files(folder: Path, to: Path) -> None:
    """Copy all that is in `folder` into the folder `to`, which is there and empty."""
    for path in sorted(folder.rglob("*")):  # a folder comes before what is in it
        target = to / path.relative_to(folder)
        target.mkdir() if path.is_dir() else shutil.copyfile(path, target)


def size_bytes(folder: Path) -> int:
    """Return the size of all files of an artifact's copy."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _listed(folder: Path) -> str:
    return "".join(f"{_digest(folder / name)}  {name}\n" for name in _names(folder))


def _names(folder: Path) -> list[str]:
    """Return the files in a folder by their paths in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in files]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
