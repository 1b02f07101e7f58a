"""The files that a run is made of: what they held when it began, all of it is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import JobKind
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import Incomparable
from perfsuite.plugins import source_digest, source_files
from perfsuite.store.journal import Journal

_GONE = ""  # instead of the digest of a file that cannot be read


def digests_of(suite: ResolvedSuite, cells: Iterable[Cell]) -> dict[str, str]:
    """Return the SHA-256 of each file that these cells are made of, by its path.

    They are ONNX files with their external data, samples, annotations, a picture, what was shipped,
    and the files of plug-ins with those beside them that they import. A plug-in of an installed
    package has its digest under its own name. What cannot be read has an empty one.
    """
    cells = tuple(cells)
    found: dict[str, str] = {}
    for kind, reference in _plug_ins(suite, cells):
        if ".py:" in reference:
            found |= {str(file): _digest(file) for file in source_files(reference)}
        elif reference.endswith(".onnx"):
            found |= {str(file): _digest(file) for file in _with_data(Path(reference))}
        else:
            found[reference] = source_digest(kind, reference)
    names = {cell.workload for cell in cells}
    data = [path for name, path in suite.samples.items() if name in names]
    marked = (table.annotations for name, table in suite.detection.items() if name in names)
    data += [path for path in marked if Path(path).is_file()]  # a folder's are the task's to tell
    data += list(_of_artifacts(suite, cells))
    found |= {path: _digest(Path(path)) for path in (*data, suite.picture) if path}
    return dict(sorted(found.items()))


class RunFiles:
    """Knows what the files of a run held when it began, also in an earlier sitting."""

    def __init__(self, journal: Journal) -> None:
        self._folder, self._header = journal.folder, journal.header
        self._before = journal.header.files
        self._seen: dict[str, tuple[int, ...]] = {}  # what tells whether a file was written since

    def check(self, kind: JobKind = "prepare") -> None:
        """Raise `Incomparable`, naming the file, if one no longer holds what it held.

        It is asked after a job of a `kind`: others than these have the artifact, which stands
        alone, and see no file.
        """
        if kind not in ("prepare", "evaluate"):
            return
        for name, before in self._before.items():
            path = Path(name)
            if not path.is_absolute():  # an installed package, which does not change meanwhile
                continue
            mark = _mark(path)
            if self._seen.get(name) == mark:
                continue
            now = _digest(path)
            if now != before:
                raise self._refusal(name, "has changed" if now else "is gone")
            self._seen[name] = mark

    def check_resumed(self) -> None:
        """Raise `Incomparable`, naming it, unless the run is made of what it began with."""
        self.check()
        header = self._header
        if not self._before:
            return  # of perfsuite's own alone, or begun by a version that did not tell
        for name, now in digests_of(header.suite, header.cells).items():
            before = self._before.get(name)
            if now != before:
                raise self._refusal(name, "has changed" if before else "is new")

    def _refusal(self, name: str, what: str) -> Incomparable:
        return Incomparable(
            f"{self._folder}: {name} {what} since this run began, and all of a run is made of the "
            f"same files; put it back as it was and go on with --resume, or start a new run in "
            f"another folder (-o)"
        )


def _plug_ins(suite: ResolvedSuite, cells: Iterable[Cell]) -> Iterator[tuple[str, str]]:
    """Yield kind and reference of all plug-ins of the cells that are not perfsuite's own."""
    from perfsuite.measure.meters.table import METERS
    from perfsuite.models.students import STUDENTS
    from perfsuite.passes.table import PASSES
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.workloads.table import WORKLOADS

    recipes = {recipe.name: recipe for recipe in suite.recipes}
    for cell in cells:
        if (reference := suite.workloads[cell.workload]) not in WORKLOADS:
            yield "workload", reference
        if (reference := suite.runtime(cell.runtime)) not in RUNTIMES:
            yield "runtime", reference
        recipe = recipes[cell.recipe]
        for use in () if recipe.shipped else recipe.passes:  # which are done already
            for kind, reference in use.plug_ins:
                if reference not in (PASSES if kind == "pass" else STUDENTS):
                    yield kind, reference
    for reference in suite.meters:
        if reference not in METERS:
            yield "meter", reference


def _of_artifacts(suite: ResolvedSuite, cells: Iterable[Cell]) -> Iterator[str]:
    """Yield the files of what was shipped and is run as it is."""
    recipes = {cell.recipe for cell in cells}
    for recipe in suite.recipes:
        if recipe.shipped is not None and recipe.name in recipes:
            files = Path(recipe.shipped.artifact).rglob("*")
            yield from (str(path) for path in files if path.is_file())


def _with_data(path: Path) -> Iterator[Path]:
    """Yield an ONNX file and the files of its external data."""
    yield path
    try:
        from perfsuite.export.onnx import data_files

        yield from data_files(path)
    except Exception:  # noqa: BLE001 - it is no ONNX file, and the job that opens it says so
        return


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return _GONE


def _mark(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
