"""Downloads: verified by hash, resumed after an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from perfsuite.data.samples import FetchProgress
from perfsuite.errors import SchemaError, Unavailable
from perfsuite.store.disk import put_in_place
from perfsuite.store.room import room_for

CHUNK = 1 << 20
ATTEMPTS = 5  # as long as each of them brings bytes


@dataclass(frozen=True)
class File:
    """A file with its name and its expected hash, `md5` or `sha512`, hexadecimal."""

    name: str
    algorithm: str
    digest: str

    def check(self, path: Path, progress: FetchProgress) -> None:
        """Raise `SchemaError` unless `path` has this file's content."""
        found = hashlib.new(self.algorithm, usedforsecurity=False)
        done, total = 0, path.stat().st_size
        with path.open("rb") as stream:
            while block := stream.read(CHUNK):
                found.update(block)
                done += len(block)
                progress(f"verifying {self.name}", done, total)
        if found.hexdigest() != self.digest:
            raise SchemaError(f"{path}: is damaged or incomplete: its {self.algorithm} is another")


def download(url: str, file: File, folder: Path, timeout_s: float, progress: FetchProgress) -> Path:
    """Return the path of `file` in `folder`, loaded from `url` and verified.

    The bytes of an interrupted call are kept in a `.partial` file, and the download goes on from
    there if the server allows it. `timeout_s` limits connecting and waiting for more bytes. Raises
    `Unavailable` if the file cannot be loaded, `SchemaError` if its hash is another,
    `PerfsuiteError` when the disk is full.
    """
    partial = folder / f"{file.name}.partial"
    resumed = _size(partial) > 0
    _receive_all(url, partial, timeout_s, lambda *done: progress(f"downloading {file.name}", *done))
    try:
        file.check(partial, progress)
    except SchemaError:
        partial.unlink()
        if resumed:  # perhaps only the stored part was bad: try again from the start
            return download(url, file, folder, timeout_s, progress)
        raise
    with room_for(partial):
        put_in_place(partial, folder / file.name)
    return folder / file.name


def _receive_all(
    url: str, partial: Path, timeout_s: float, progress: Callable[[int, int | None], None]
) -> None:
    for _ in range(ATTEMPTS):
        before = _size(partial)
        try:
            if _receive(url, partial, timeout_s, progress):
                return
        except (OSError, HTTPException, ValueError) as error:
            if _size(partial) <= before:
                raise Unavailable(f"{url}: {_reason(error)}") from error
    raise Unavailable(f"{url}: the connection broke {ATTEMPTS} times; try again later")


def _receive(
    url: str, partial: Path, timeout_s: float, progress: Callable[[int, int | None], None]
) -> bool:
    """Append the missing bytes to `partial`; return whether the server sent all it announced."""
    done = _size(partial)
    request = Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urlopen(request, timeout=timeout_s)
    except HTTPError as error:
        if done and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # the server has no more bytes; the hash will be checked
        raise
    with answer:
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            done = 0  # this server cannot resume
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length else None
        with room_for(partial), partial.open("ab" if done else "wb") as file:
            while block := answer.read(CHUNK):
                file.write(block)
                done += len(block)
                progress(done, total)
    return total is None or done >= total


def _reason(error: Exception) -> object:
    """Return the cause inside a `URLError`, whose own text is `<urlopen error ...>`."""
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        return error.reason
    return error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
