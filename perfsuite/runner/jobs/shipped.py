"""The prepare job of what was shipped: its files are verified and taken as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from perfsuite.domain.recipe import Shipped
from perfsuite.domain.record import UNLABELLED, Line
from perfsuite.domain.runtime import Runtime
from perfsuite.errors import PerfsuiteError, SchemaError, Unsupported
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.capabilities import identity_of
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job
from perfsuite.runner.jobs.prepared import prepared_line
from perfsuite.store.cache import Cache, key_of
from perfsuite.store.kept import LIST, copy_files, fault
from perfsuite.user_code import user_code


def take_shipped(
    job: Job, shipped: Shipped, runtime: Runtime, libraries: Mapping[str, str]
) -> Line:
    """Return the line of a cell that was shipped; the cache gets a copy of its artifact.

    The copy's key follows from the files, the engine's `libraries` and the device, so that what was
    answered with other ones is not taken for its answers. A label tells of versions that differ
    from those that it was built with. Raises `SchemaError` for files that are not as they were
    shipped, and for what the engine cannot open; `Unsupported` for what does not stand alone.
    """
    source = Path(shipped.artifact)
    _require_whole(source)
    key = key_of(
        "shipped",
        source / LIST,
        msgspec.json.encode(dict(libraries), order="sorted"),
        identity_of(runtime, job.cell.device).key,
    )
    taking = _Taking(job, source, runtime, libraries)
    folder, made = Cache(sealed=job.cached_only).build("artifact", key, taking)
    task = workload_of(job).task
    return prepared_line(
        job,
        folder,
        key,
        made=made,
        labels=(
            *(() if task.metrics() else (UNLABELLED,)),
            *task.labels,
            *(f"built with {one}" for one in _changed(folder, libraries)),
        ),
        made_up=task.made_up,
    )


@dataclass(frozen=True)
class _Taking:
    """Fills a folder of the cache with a copy of the artifact in `source`, and opens it once."""

    job: Job
    source: Path
    runtime: Runtime
    libraries: Mapping[str, str]

    def __call__(self, folder: Path) -> None:
        copy_files(self.source, folder)
        _require_whole(folder)
        (folder / LIST).unlink()  # what is built here has none
        if artifacts.read_facts(folder).needs_source:
            raise Unsupported(
                f"{self.source}: {self.runtime.name} runs it with the model's own source, so that "
                f"it does not stand alone; leave out `shipped` to have it built"
            )
        try:
            self._answer(folder)
        except PerfsuiteError as error:
            if not (changed := _changed(folder, self.libraries)):
                raise
            here = ", ".join(f"{name} {version}" for name, version in self.libraries.items())
            raise SchemaError(
                f"{self.source}: {error}; it was built with {', '.join(changed)}, and here is "
                f"{here}: install that version, or ship it anew with this one"
            ) from error

    def _answer(self, folder: Path) -> None:
        manifest, inputs = artifacts.read_manifest(folder), artifacts.read_inputs(folder)
        options = artifacts.options(self.job, None)
        with (
            artifacts.open_session(self.runtime, folder, manifest, options) as session,
            user_code(f"{self.job.cell.key}: a call"),
        ):
            session.run(inputs[0])


def _require_whole(folder: Path) -> None:
    if told := fault(folder):
        raise SchemaError(
            f"{told}; copy the whole folder again from where it was shipped, or ship it anew"
        )


def _changed(folder: Path, libraries: Mapping[str, str]) -> list[str]:
    """Return the libraries, with their versions, that it was built with and that are others now."""
    built = artifacts.read_facts(folder).versions
    return [
        f"{name} {version}"
        for name, version in sorted(built.items())
        if libraries.get(name) != version
    ]
