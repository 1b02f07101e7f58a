"""The journal of a run, `run.jsonl`: a header line, then one line for each finished job.

Lines are only appended, and each is on the disk before the next job starts. If a run is killed, all
finished jobs are kept, and at most the line being written is torn.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
from filelock import FileLock, Timeout

from perfsuite.domain.record import SCHEMA, Header, Line
from perfsuite.errors import ConfigError, PerfsuiteError, SchemaError
from perfsuite.store.disk import append_whole, write_whole

FILE = "run.jsonl"
LOCK = ".lock"


class _Stamp(msgspec.Struct):
    """The part of a header that is read first, to see whether the rest can be."""

    schema: int
    perfsuite: str = "of an unknown version"


class _Content(NamedTuple):
    header: Header
    lines: list[Line]
    warnings: list[str]
    good_bytes: int  # the length of the whole lines; bytes after them are torn


class Journal:
    """An open journal, written by this process only. Use `create` or `resume`, and `with`.

    `header` and `lines` are its content when it was opened; `warnings` tells what was cut off.
    """

    def __init__(self, folder: Path, lock: FileLock, content: _Content) -> None:
        self.folder = folder
        self.header, self.lines, self.warnings, _ = content
        self._lock = lock
        # Unbuffered, so that a line is one write to the system.
        self._file = (folder / FILE).open("ab", buffering=0)

    @classmethod
    def create(cls, folder: Path, header: Header) -> Self:
        """Return a new journal in `folder`, which is made.

        Raises `ConfigError` when the folder cannot be written, holds a run already, or another
        process is writing there.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be made: {error.strerror}") from error
        lock = _locked(folder)
        try:
            if (folder / FILE).exists():
                raise ConfigError(
                    f"{folder}: there is a run already; choose another folder (-o), or go on "
                    "with it (perfsuite run --resume)"
                )
            _write_header(folder, header)
            return cls(folder, lock, _Content(header, [], [], 0))
        except BaseException:
            lock.release()
            raise

    @classmethod
    def resume(cls, folder: Path) -> Self:
        """Return the journal in `folder`, ready for more lines; a torn last line is cut off.

        Raises `ConfigError` as `create` does, or when there is no run, and `SchemaError` as `read`.
        """
        file = _existing(folder)
        lock = _locked(folder)
        try:
            content = _parse(file)
            _mend(file, content.good_bytes)
            return cls(folder, lock, content)
        except BaseException:
            lock.release()
            raise

    def append(self, line: Line) -> None:
        """Write `line` and wait until it is on the disk.

        Raises `PerfsuiteError` when it cannot be written (a full disk): the journal then ends with
        the line before. Raises `SchemaError` for a line that could not be read again.
        """
        data = _encoded(line, f"the {line.job} line of {line.key}")
        try:
            append_whole(self._file.fileno(), data)
        except OSError as error:
            raise PerfsuiteError(
                f"{self.folder / FILE}: the {line.job} line of {line.key} cannot be written: "
                f"{error.strerror}; make room, then go on with --resume"
            ) from error

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(folder: Path) -> tuple[Header, list[Line], list[str]]:
    """Return the header, the lines and the warnings of the journal in `folder`.

    A torn last line is skipped, with a warning. Raises `ConfigError` when there is no journal and
    `SchemaError`, with the line's number, for one that is corrupt or of a newer version.
    """
    content = _parse(_existing(folder))
    return content.header, content.lines, content.warnings


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such run folder")
    file = folder / FILE
    if not file.is_file():
        raise ConfigError(f"{folder}: there is no run in this folder ({FILE} is missing)")
    return file


def _locked(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ConfigError(
            f"{folder}: another process is writing there; wait for it or choose another folder (-o)"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error
    return lock


def _write_header(folder: Path, header: Header) -> None:
    """Write the first line to another file and rename it, so that it is never incomplete."""
    data = _encoded(header, "the header")
    try:
        write_whole(folder / FILE, data)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error


def _encoded(row: Header | Line, what: str) -> bytes:
    """Return `row` as a line, after checking that it can be read again."""
    try:
        data = msgspec.json.encode(row)
        # NaN and infinity are written as null in JSON, which is refused as a number on reading.
        msgspec.json.decode(data, type=type(row))
    except (msgspec.MsgspecError, UnicodeError, TypeError) as error:
        why = " (NaN or infinite: JSON has neither)" if "got `null`" in str(error) else ""
        raise SchemaError(f"{what} cannot be stored: {error}{why}") from error
    return data + b"\n"


def _mend(file: Path, good_bytes: int) -> None:
    """Cut `file` behind its last whole line, and end that line if its end is missing."""
    try:
        with file.open("r+b") as stream:
            stream.truncate(good_bytes)
            stream.seek(good_bytes - 1)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error


def _parse(file: Path) -> _Content:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    rows = io.BytesIO(raw).readlines()  # ends lines at \n alone
    header = _header(file, rows[0] if rows else b"")
    lines: list[Line] = []
    warnings: list[str] = []
    good_bytes = len(rows[0])
    for number, row in enumerate(rows[1:], start=2):
        try:
            lines.append(msgspec.json.decode(row, type=Line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            torn = number == len(rows) and not isinstance(error, msgspec.ValidationError)
            if not torn:
                raise SchemaError(
                    f"{file}: line {number} is corrupt: {error}; restore the file, or remove this "
                    f"line: `run --resume` does again what it told of"
                ) from error
            warnings.append(f"{file}: line {number}, the last, is torn and was skipped")
            break
        good_bytes += len(row)
    return _Content(header, lines, warnings, good_bytes)


def _header(file: Path, row: bytes) -> Header:
    try:
        stamp = msgspec.json.decode(row, type=_Stamp)
        if stamp.schema > SCHEMA:
            raise SchemaError(
                f"{file}: written by perfsuite {stamp.perfsuite} in schema {stamp.schema}; this "
                f"one reads up to {SCHEMA}: upgrade perfsuite"
            )
        return msgspec.json.decode(row, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SchemaError(
            f"{file}: line 1, the header, is corrupt: {error}; restore the file, or run the suite "
            f"anew into another folder"
        ) from error
