"""The folder of a run: created, or found again to resume the run."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from perfsuite import __version__
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import SCHEMA, Header
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError, Incomparable
from perfsuite.judge.levels import learned
from perfsuite.runner.run_files import RunFiles, digests_of
from perfsuite.store.certificates import certificate_of
from perfsuite.store.journal import Journal
from perfsuite.store.levels import read_levels


def created(
    out: Path | None,
    suite: ResolvedSuite,
    cells: tuple[Cell, ...],
    *,
    quick: bool = False,
    baseline: Path | None = None,
    source: str = "",
) -> Journal:
    """Return a new journal in `out`, by default in `reports/<suite>-<time>`.

    The run is measured beside the one in the folder `baseline`. `source` is the suite's file.
    """
    from perfsuite.measure.environment import environment
    from perfsuite.measure.meters.table import definitions

    now = datetime.now(UTC)
    stamp = now.isoformat(timespec="seconds")
    machine = environment()
    header = Header(
        schema=SCHEMA,
        perfsuite=__version__,
        created_at=stamp,
        suite=suite,
        cells=cells,
        environment=machine,
        between_runs=learned(cells, read_levels(machine.must_match)),
        quick=quick,
        metrics=definitions(suite.meters),
        baseline=_named(baseline),
        certificate=certificate_of(machine.must_match),
        files=digests_of(suite, cells),
        source=source,
    )
    return Journal.create(out or _new_folder(suite.name, now), header)


def _new_folder(suite: str, now: datetime) -> Path:
    """Return a new folder in `reports`, named by the time.

    Of runs that begin in the same second, or after the clock was set back, each has its own.
    """
    while True:
        folder = Path("reports") / f"{suite}-{now:%Y%m%d-%H%M%S}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            now += timedelta(seconds=1)
        except OSError:
            return folder  # where nothing can be written, the journal says it
        else:
            return folder


def resumed(
    out: Path | None,
    suite: ResolvedSuite,
    cells: tuple[Cell, ...],
    baseline: Path | None = None,
) -> Journal:
    """Return the journal in `out`, by default the suite's newest, to go on with.

    Without a `baseline` it has the one that it began with. Raises `Incomparable` on another
    machine, with other versions and with files that have changed, and `ConfigError` for another
    suite or baseline.
    """
    from perfsuite.measure.environment import environment

    folder = out or _newest(suite.name)
    journal = Journal.resume(folder)
    try:
        _check_same(folder, journal.header, Header(SCHEMA, "", "", suite, cells, environment()))
        _check_baseline(journal, baseline)
        RunFiles(journal).check_resumed()
    except BaseException:
        journal.close()
        raise
    return journal


def _check_same(folder: Path, before: Header, now: Header) -> None:
    """Raise unless suite, machine and versions are those that the run began with."""
    there, here = before.environment, now.environment
    # First, because another machine may have other cells: the threads are its cores.
    if there.must_match != here.must_match:
        raise Incomparable(
            f"{folder}: this run began on another machine ({there.must_match.processor}); "
            f"start a new one here"
        )
    if changed := changed_versions(there.subject, here.subject):
        raise Incomparable(
            f"{folder}: versions have changed since this run began ({changed}); start a new one"
        )
    if (before.suite, before.cells) != (now.suite, now.cells):
        raise ConfigError(
            f"{folder}: the suite, --only or --quick have changed since this run began; "
            f"start a new one"
        )


def changed_versions(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return which versions differ, such as `numpy 1.26.4 to 2.0.1`; '' if none does."""
    return ", ".join(
        f"{name} {before.get(name, 'none')} to {now.get(name, 'none')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    )


def _check_baseline(journal: Journal, baseline: Path | None) -> None:
    """Raise unless the baseline is the one that the run began with, and still there.

    A run that began without one is only held against it: that is told.
    """
    before = journal.header.baseline
    if baseline is not None and not before:
        journal.warnings.append(
            f"{journal.folder}: this run began without --baseline, so it is not measured beside "
            f"{baseline}, but compared with it as two stored runs are"
        )
    elif baseline is not None and _named(baseline) != before:
        raise ConfigError(
            f"{journal.folder}: this run began with --baseline {before}; go on with that one or "
            f"without naming any, or start a new one"
        )
    elif before and not Path(before).is_dir():
        raise ConfigError(
            f"{journal.folder}: the baseline that this run began with, {before}, is no longer "
            f"there; put it back, or start a new one"
        )


def _named(baseline: Path | None) -> str:
    """Return how the header names a baseline, so that it is found from any working folder."""
    return "" if baseline is None else str(baseline.resolve())


def _newest(suite: str) -> Path:
    stamp = f"{'[0-9]' * 8}-{'[0-9]' * 6}"  # of `created`
    pattern = f"{glob.escape(suite)}-{stamp}/run.jsonl"
    found = sorted(path.parent for path in Path("reports").glob(pattern))
    if not found:
        raise ConfigError(f"reports: there is no run of '{suite}' to go on with; say which (-o)")
    return found[-1]
