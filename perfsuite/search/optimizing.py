"""The verb `optimize`: the target checked, the search worked off, the answer written."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from perfsuite.config.expansion import cells
from perfsuite.config.optimize_suite import goal_of, optimize_suite
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.environment import MustMatch
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.optimum import Goal, Optimum
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError, Incomparable, PerfsuiteError
from perfsuite.measure.environment import environment
from perfsuite.plugins import refuse_while_importing
from perfsuite.runner.run_files import digests_of
from perfsuite.runner.run_folder import changed_versions
from perfsuite.runner.switched import Executor
from perfsuite.search.decisions import Decisions
from perfsuite.search.final import FINAL
from perfsuite.search.more_time import is_half_moved, set_aside
from perfsuite.search.outcome import ENDED, Ended, optimum
from perfsuite.search.phases import Follow, Phases, Silent
from perfsuite.search.search import Search
from perfsuite.store.disk import write_whole

JSON, MARKDOWN = "optimize.json", "optimize.md"
MINUTES = 60.0

AnyPath = str | os.PathLike[str]


class Optimized(NamedTuple):
    """The answer of a search, the folder that holds it, and where the best was shipped to.

    `run` is the folder of the final run. `shipped` is None unless that was asked for; where it
    could not be done, `not_shipped` says why. `elsewhere` says what becomes of its accuracy on
    other processors, where that is not sure.
    """

    folder: Path
    optimum: Optimum
    shipped: Path | None = None
    not_shipped: str = ""
    elsewhere: str = ""

    @property
    def exit_code(self) -> int:
        """Return that of `perfsuite optimize`: 0 where the target is met, by the test samples."""
        return self.optimum.exit_code

    @property
    def run(self) -> Path:
        """Return the folder of the final run."""
        return self.folder / FINAL


class _Request(msgspec.Struct, frozen=True):
    """What was asked for, on which machine, with which versions, and what its files held.

    A search goes on with nothing else. Those of earlier versions do not tell the last two.
    """

    suite: ResolvedSuite
    goal: Goal
    machine: MustMatch
    created_at: str
    versions: dict[str, str] = {}
    files: dict[str, str] = {}


def optimize(
    workload: WorkloadReference,
    out: AnyPath | None = None,
    *,
    speedup: float,
    max_drop_points: float,
    versus: str | None = None,
    runtimes: Sequence[RuntimeReference] = (),
    batch: int = 1,
    threads: int | None = None,
    minutes: float = MINUTES,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    ship: AnyPath | None = None,
    resume: bool = False,
    observe: Callable[[], Follow] | None = None,
    execute: Executor | None = None,
) -> Optimized:
    """Search for a recipe, an engine and a precision that meet a target; return the best found.

    The net must become `speedup` times as fast as `versus` (by default `pytorch/fp32`) and may lose
    `max_drop_points` percentage points of its accuracy. What trains nothing is tried first, and the
    search ends with the first phase that meets the target. After `minutes` nothing new begins, and
    a tenth of them later what goes on is cut off: only the first phase, and the last with the best
    alone, are done whatever they take. It chooses by validation samples, and test samples are
    answered once, at the end, by the best and the Pareto front.

    The folder `out`, by default in `reports`, gets `optimize.json`, `optimize.md` and the runs of
    all phases; with `resume` a search there goes on, also with more `minutes` than before. What was
    found is shipped to the folder `ship`, if it is proven to meet the target. `observe` gives
    whoever shows progress, and `execute` does jobs in place of processes of their own.
    """
    refuse_while_importing("perfsuite.optimize")
    suite = optimize_suite(
        workload,
        runtimes,
        batch=batch,
        threads=threads,
        samples=None if samples is None else Path(samples),
        shapes=shapes,
    )
    goal = goal_of(suite, speedup, max_drop_points, versus, minutes)
    folder = _folder(out, suite.name, resume=resume)
    to = None if ship is None else _free(Path(ship), folder)
    follow = observe() if observe is not None else Silent()
    here, files = environment(), digests_of(suite, cells(suite))
    request = _Request(suite, goal, here.must_match, _now(), here.subject, files)
    if resume:
        resume = not _set_aside(folder, request)
    with Decisions(folder, resume=resume) as decisions:
        _check_same(folder, decisions.once("request", _Request, lambda: request), request)
        search = Search(suite, goal, decisions, Phases(folder, follow, execute))
        search.work()
        found = optimum(search)
    _write(folder, found)
    answer = Optimized(folder, found)
    return answer if to is None else _shipped(answer, to, suite)


def _shipped(answer: Optimized, to: Path, suite: ResolvedSuite) -> Optimized:
    """Return the answer after what it found was shipped, or with the reason why it was not."""
    from perfsuite.runner.build.artifacts import read_manifest
    from perfsuite.ship import ship
    from perfsuite.ship.other_processors import other_processors
    from perfsuite.ship.suite import ARTIFACT
    from perfsuite.store.elsewhere import read_elsewhere
    from perfsuite.store.runs import load_run

    found, (reference,) = answer.optimum, suite.workloads.values()
    if found.exit_code != 0:
        return answer._replace(not_shipped="the target is not proven to be met")
    try:
        shipped = ship(answer.run, found.best, to, command=_command(suite, found.goal))
        records = {one.cell.key: one for one in load_run(answer.run).records.values()}
        tried = read_elsewhere(records[found.best].artifact)
        told = other_processors(read_manifest(shipped / ARTIFACT), reference, tried)
        return answer._replace(shipped=shipped, elsewhere=told)
    except PerfsuiteError as error:  # what was found stays, and can be shipped later
        return answer._replace(not_shipped=str(error))


def _command(suite: ResolvedSuite, goal: Goal) -> str:
    """Return the command that asks for this search, but for its minutes and its folders."""
    (reference,), (batch,) = suite.workloads.values(), suite.batches
    shapes = [
        f"{name}={'x'.join(map(str, sides))}"
        for given in suite.shapes.values()
        for name, sides in given.items()
    ]
    options = (
        ("--speedup", [f"{goal.speedup:g}"]),
        ("--max-drop-points", [f"{goal.max_drop_points:g}"]),
        ("--versus", [goal.versus]),
        ("--runtime", [suite.runtime(name) for name in suite.runtimes]),
        ("--batch", [str(batch)] if batch != 1 else []),
        ("--threads", [str(suite.threads)] if suite.threads is not None else []),
        ("--samples", list(suite.samples.values())),
        ("--shape", shapes),
    )
    words = [word for name, values in options for value in values for word in (name, value)]
    return shlex.join(["perfsuite", "optimize", reference, *words])


def _set_aside(folder: Path, request: _Request) -> bool:
    """Tell whether a search has to begin anew, as it has ended and there is more time now.

    The one of before is set aside then. One that has met its target has nothing to gain.
    """
    if not is_half_moved(folder):
        with Decisions(folder, resume=True) as decisions:
            _check_same(folder, decisions.once("request", _Request, lambda: request), request)
            ended = decisions.once(ENDED, Ended, Ended) if decisions.knows(ENDED) else Ended()
        if ended.exit_code == 0 or not ended.minutes < request.goal.minutes:
            return False
    set_aside(folder)
    return True


def _check_same(folder: Path, before: _Request, now: _Request) -> None:
    """Raise unless a search goes on as it began, on the same machine, but for its minutes.

    All of its phases are made of the same files, with the same versions.
    """
    if before.machine != now.machine:
        raise Incomparable(
            f"{folder}: this search began on another machine ({before.machine.processor}); start a "
            f"new one here"
        )
    goal = msgspec.structs.replace(before.goal, minutes=now.goal.minutes)
    if (before.suite, goal) != (now.suite, now.goal):
        raise ConfigError(
            f"{folder}: this search began with other arguments, as "
            f"{_command(before.suite, before.goal)}; give the same, or start a new one in another "
            f"folder (-o)"
        )
    changed = changed_versions(before.versions, now.versions)
    if before.versions and changed:
        raise Incomparable(
            f"{folder}: versions have changed since this search began ({changed}); start a new one "
            f"in another folder (-o)"
        )
    for name, digest in now.files.items():
        if before.files and before.files.get(name) != digest:
            raise Incomparable(
                f"{folder}: {name} has changed since this search began; put it back as it was, or "
                f"start a new search in another folder (-o)"
            )


def _free(folder: Path, search: Path) -> Path:
    """Return a folder to ship to; raise `ConfigError` if it holds something, or the search will."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--ship {folder}: there is something already; name another folder")
    if search.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"--ship {folder}: the search is kept there ({search}); name another one")
    return folder


def _folder(out: AnyPath | None, name: str, *, resume: bool) -> Path:
    """Return the folder of a search: `out`, a new one in `reports`, or the newest to go on with."""
    if out is not None:
        return Path(out)
    if not resume:
        return Path("reports") / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    stamp = f"{'[0-9]' * 8}-{'[0-9]' * 6}"
    found = sorted(Path("reports").glob(f"{glob.escape(name)}-{stamp}/search.jsonl"))
    if not found:
        raise ConfigError(f"reports: there is no search '{name}' to go on with; say which (-o)")
    return found[-1].parent


def _write(folder: Path, found: Optimum) -> None:
    from perfsuite.report import optimum_document, optimum_markdown

    try:
        document = msgspec.json.format(msgspec.json.encode(optimum_document(found)))
        write_whole(folder / JSON, document + b"\n")
        write_whole(folder / MARKDOWN, optimum_markdown(found).encode())
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
