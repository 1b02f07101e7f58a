"""The artifacts of a run are put into its folder, so that they travel with it as a baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from perfsuite.domain.record import Run
from perfsuite.judge.references import ok_cells
from perfsuite.store.cache import Cache
from perfsuite.store.kept import FOLDER, keep, size_bytes


def keep_artifacts(folder: Path, run: Run, say: Callable[[str], None]) -> list[str]:
    """Copy the artifacts of all cells that ended well into the run's `folder`; return warnings.

    `say` is told how much it is. Raises `PerfsuiteError` when the disk is full.
    """
    from perfsuite.runner.build.artifacts import read_facts

    copies: set[Path] = set()
    gone, bound = [], []
    for cell in ok_cells(run):
        key = run.records[cell.id].artifact
        artifact = Cache().get("artifact", key)
        if artifact is None:
            gone.append(cell.key)
            continue
        copies.add(keep(folder, key, artifact))
        if read_facts(artifact).needs_source:
            bound.append(cell.key)
    count = f"{len(copies)} artifact{'s' * (len(copies) != 1)}"
    megabytes = sum(map(size_bytes, copies)) / 1e6
    say(f"{count} kept, {megabytes:.1f} MB in {folder / FOLDER}")
    warnings = []
    if gone:
        warnings.append(f"no longer in the cache, so not kept: {', '.join(gone)}")
    if bound:
        warnings.append(
            f"of {', '.join(bound)} the weights are kept, but not the source of the module: as a "
            f"baseline it is measured beside a change only while source and recipe are the same"
        )
    return warnings
