"""The runs that lie in a folder, and what the index says of each."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from threading import Lock

import msgspec

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.report.tables.cell_rows import plain, summary
from perfsuite.store.journal import FILE

DEPTH = 3  # `optimize` and suites of suites keep runs in folders of folders
# How long one view of the index judges runs, in seconds. Those left over are judged by the next.
PATIENCE_S = 1.5


class Listed(msgspec.Struct, frozen=True):
    """One run of the index; `trouble` says why it cannot be read, and then the rest is empty.

    `name` is its path in the folder, empty for the folder itself. A run that is not yet judged has
    no `outcome`, and is `pending`.
    """

    name: str
    when: str = ""  # ISO 8601, UTC
    suite: str = ""
    cells: str = ""  # such as "12 ok, 2 unsupported"
    outcome: str = ""
    exit_code: int | None = None
    trouble: str = ""
    pending: bool = False


class _Known(msgspec.Struct, frozen=True):
    """What was found in a run's journal and its baseline's, when these were as `stamps` says."""

    stamps: tuple[tuple[int, int] | None, ...]
    baseline: Path | None
    listed: Listed


def runs_in(folder: Path) -> dict[str, Path]:
    """Return the folders of all runs in `folder`, by their paths in it.

    It is looked through to a depth of three, without hidden folders, without the inside of runs,
    and without links, which lead out of it. Raises `ConfigError` where it is no folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder; name one that holds runs")
    found: dict[str, Path] = {}
    for where, inner, files in os.walk(folder):
        here = Path(where)
        parts = here.relative_to(folder).parts
        journal = here / FILE
        if FILE in files and journal.is_file() and not journal.is_symlink():
            found["/".join(parts)] = here
            inner.clear()
        elif len(parts) == DEPTH:
            inner.clear()
        inner[:] = sorted(one for one in inner if not one.startswith("."))
    return found


class Index:
    """The runs of a folder. What was judged once is remembered until its journal changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, _Known] = {}
        self._lock = Lock()

    def listed(self) -> list[Listed]:
        """Return the runs, the newest first; those that cannot be read come last."""
        deadline = time.monotonic() + PATIENCE_S
        with self._lock:
            newest = sorted(runs_in(self.folder).items(), key=_written, reverse=True)
            found = [self._one(name, path, deadline) for name, path in newest]
        return sorted(found, key=lambda one: one.when, reverse=True)

    def _one(self, name: str, path: Path, deadline: float) -> Listed:
        known = self._known.get(path)
        if known is None or known.stamps != _stamps(path, known.baseline):
            if time.monotonic() > deadline:
                return Listed(name, pending=True)
            known = self._known[path] = _look(name, path)
        return known.listed


def _look(name: str, path: Path) -> _Known:
    """Return what is to be known of a run, judged as `perfsuite show` does."""
    before = _stamps(path, None)
    try:
        shown = api.show(path)
        baseline = Path(shown.run.header.baseline) if shown.run.header.baseline else None
        listed = _listed(name, shown.run, shown.judgement)
    except PerfsuiteError as error:
        baseline, listed = None, Listed(name, trouble=plain(str(error)))
    except Exception as error:  # noqa: BLE001 - one run must not take the others with it
        told = f"cannot be judged: {type(error).__name__}: {error}"
        baseline, listed = None, Listed(name, trouble=plain(told))
    return _Known((*before, *_stamps(path, baseline)[1:]), baseline, listed)


def _listed(name: str, run: Run, judgement: Judgement) -> Listed:
    header = run.header
    records = (run.records.get(cell.id) for cell in header.cells)
    statuses = Counter(one.status if one else "missing" for one in records)
    return Listed(
        name,
        when=header.created_at,
        suite=plain(header.suite.name),
        cells=", ".join(f"{count} {status}" for status, count in statuses.items()) or "none",
        outcome=summary(judgement),
        exit_code=judgement.exit_code,
    )


def _written(found: tuple[str, Path]) -> tuple[int, int]:
    return _stamp(found[1] / FILE) or (0, 0)


def _stamps(path: Path, baseline: Path | None) -> tuple[tuple[int, int] | None, ...]:
    folders = (path,) if baseline is None else (path, baseline)
    return tuple(_stamp(one / FILE) for one in folders)


def _stamp(file: Path) -> tuple[int, int] | None:
    """Return what changes with the file: when it was written, and how long it is."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
