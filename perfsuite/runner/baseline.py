"""The baseline's own artifacts: found again, and what lets them be measured beside the new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import DeviceIdentity, told_apart
from perfsuite.domain.environment import Environment
from perfsuite.domain.record import Failure, Line, Record
from perfsuite.errors import Incomparable, SchemaError, Unavailable
from perfsuite.runner.job import Job, line_of
from perfsuite.store.cache import Cache
from perfsuite.store.kept import FOLDER, is_key, kept
from perfsuite.store.runs import load_run

if TYPE_CHECKING:
    from perfsuite.runner.build.artifacts import Facts


class Baseline:
    """The run that a new one, with the given environment and recipes, is measured beside."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder, self.run = folder, load_run(folder)
        self._here = environment
        self._recipes = {recipe.name: recipe for recipe in self.run.header.suite.recipes}

    def beside(
        self, prepared: Job, device: DeviceIdentity | None, earlier: Line | None = None
    ) -> tuple[Line, Job] | None:
        """Return what stands beside a prepared cell: the line that says so, and the job to measure.

        None if the cell did not end well in the baseline. The line is `unavailable`, and tells why
        and how to have it, where the artifact cannot be had or would not be what it was then.
        Raises `Incomparable` if it is not that of the `earlier` line of a run that is resumed.
        """
        record = self._record(prepared.cell)
        if earlier is not None and earlier.artifact != (record.artifact if record else ""):
            raise Incomparable(
                f"{self.folder}: this is no longer the baseline that the run began with, which had "
                f"another artifact of {earlier.key}; put it back, or start a new run"
            )
        if record is None:
            return None
        before = self._recipes.get(prepared.recipe.name)
        recipe = msgspec.structs.replace(
            prepared.recipe, slowdown=before.slowdown if before is not None else 0.0
        )
        job = msgspec.structs.replace(
            prepared, baseline=True, artifact_key=record.artifact, recipe=recipe
        )
        try:
            folder = self._artifact(prepared, record, device)
        except (Unavailable, SchemaError) as error:
            failure = Failure(type(error).__name__, str(error))
            return line_of(job, status="unavailable", error=failure), job
        return line_of(job, status="ok"), msgspec.structs.replace(job, artifact=str(folder))

    def _record(self, cell: Cell) -> Record | None:
        record = self.run.records.get(cell.id)
        return record if record is not None and record.status == "ok" else None

    def _artifact(self, prepared: Job, record: Record, device: DeviceIdentity | None) -> Path:
        """Return the folder of the baseline's artifact, fit to be measured beside the new one."""
        from perfsuite.runner.build.artifacts import read_facts, read_manifest
        from perfsuite.runtimes.split.session import is_split

        same = record.artifact == prepared.artifact_key
        if not same:
            _check_device(record.device, device)
        here = read_facts(Path(prepared.artifact))
        # Artifacts of earlier versions do not tell their runtime, nor whether they need the source.
        needs_source = here.needs_source or not here.runtime
        if same:
            if needs_source:
                self._check_libraries(prepared)
            return Path(prepared.artifact)  # nothing of what it is made of has changed
        folder = self._found(record.artifact)
        read_manifest(folder)
        there = read_facts(folder)
        if there.needs_source or needs_source or is_split(folder):
            self._check_module(prepared, there, here)
        self._check_engine(there, here)
        return folder

    def _check_module(self, prepared: Job, there: Facts, here: Facts) -> None:
        """Raise `Unavailable` unless the module can be built again as it was in the baseline."""
        if (
            there.sources != here.sources
            or self._recipes.get(prepared.recipe.name) != prepared.recipe
        ):
            raise Unavailable(
                f"{prepared.cell.runtime} runs a module, whose source or recipe has changed since "
                f"the baseline, and only the source of now is here"
            )
        if not there.structure or there.structure != here.structure:
            raise Unavailable(
                f"{prepared.cell.runtime} runs a module, which would not be built as it was in the "
                f"baseline, though its source is the same: what the source reads, such as a "
                f"configuration, has changed, or the baseline does not tell what it was"
            )
        self._check_libraries(prepared)

    def _check_libraries(self, prepared: Job) -> None:
        """Raise `Unavailable` if libraries have changed, whose code may be part of a module."""
        then, now = self.run.header.environment.subject, self._here.subject
        changed = [
            f"{name} {then.get(name, 'none')} there and {now.get(name, 'none')} here"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]
        if changed:
            raise Unavailable(
                f"{prepared.cell.runtime} runs a module, which would be built with the libraries "
                f"of now ({', '.join(changed)}), so what they change is judged by the two stored "
                f"runs"
            )

    def _found(self, key: str) -> Path:
        """Return the artifact's folder: in the cache, or beside the baseline's journal."""
        if is_key(key):
            found = Cache().get("artifact", key) or kept(self.folder, key)
            if found is not None:
                return found
        raise Unavailable(
            f"the baseline's artifact is neither in the cache nor in {self.folder / FOLDER}; a "
            f"baseline that is run with --keep-artifacts takes it with it"
        )

    def _check_engine(self, there: Facts, here: Facts) -> None:
        """Raise `Unavailable` unless the engine is the same that the baseline was measured with.

        Artifacts of earlier versions do not tell; the versions in the runs' headers do it then.
        """
        then, now = self.run.header.environment.subject, self._here.subject
        names = (there.versions.keys() | here.versions.keys()) or (then.keys() | now.keys())
        changed = [
            f"{name} {before or 'none'} there and {after or 'none'} here"
            for name in sorted(names)
            if (before := there.versions.get(name, then.get(name)))
            != (after := here.versions.get(name, now.get(name)))
        ]
        if not changed and there.runtime and here.runtime and there.runtime != here.runtime:
            changed = ["the code of the runtime has changed"]
        if changed:
            raise Unavailable(
                f"the baseline was measured with another engine ({', '.join(changed)}), so what "
                f"that changes is judged by the two stored runs"
            )


def _check_device(there: DeviceIdentity | None, here: DeviceIdentity | None) -> None:
    """Raise `Unavailable` for an artifact of another card: engines are built for one.

    What runs on one processor runs on others, or fails when it is opened.
    """
    if there is None or here is None or there == here or here.is_processor:
        return
    then, now = told_apart(there, here)
    raise Unavailable(f"the baseline's artifact was built for {then}, and here is {now}")
