"""The estimated duration of a run: its jobs, each with its last duration or a documented guess."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from perfsuite.config.expansion import expects, inspected_in_rounds
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import OLD_RUNTIME_FIELD, PassUse
from perfsuite.domain.record import JobKind, Line
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.store.disk import write_whole
from perfsuite.store.places import home

log = logging.getLogger(__name__)

# Guesses for a first run, in seconds on two ordinary cores with a net for CIFAR-10. Measured
# durations replace them in later runs.
TORCH_START_S = 5.0  # a fresh process that imports torch
START_S = 1.0  # one that does not
WORK_S = 1.0  # beside what the suite asks for: opening, warming up, writing the line
PREPARE_S = 15.0  # export, parity check and build, the first time
PASS_S = 10.0  # more for each pass of the recipe
EPOCH_S = 200.0  # and for each epoch that it trains, with a teacher
TORCH_CALL_S = 0.01  # one test sample
CALL_S = 0.003
# The number of samples of a test set, as that of CIFAR-10, because the real number would only be
# known after loading it. For a smaller one, such as the 500 of vgg-digits, the guess is too long.
TEST_SET = 10_000
VALIDATION_SET = 1_500  # as that of CIFAR-10


class PlannedJob(msgspec.Struct, frozen=True):
    """A job of one cell, done `count` times in as many processes, `each_s` seconds a time."""

    kind: JobKind
    cell: str  # the cell's key
    count: int
    each_s: float
    known: bool  # from an earlier run, else a guess

    @property
    def total_s(self) -> float:
        """Return the seconds of all its processes, which run one after another."""
        return self.count * self.each_s


class RunPlan(msgspec.Struct, frozen=True):
    """The jobs of a run in the order of its cells.

    More processes may be needed until all verdicts are decided: the whole run then takes
    `at_most_s`. None if their number is fixed. `refused` says, by cell key, why cells that are not
    expected to will be `unsupported`.
    """

    jobs: tuple[PlannedJob, ...]
    at_most_s: float | None = None
    refused: dict[str, str] = {}

    @property
    def total_s(self) -> float:
        """Return the seconds of these jobs, which the run takes at least."""
        return math.fsum(job.total_s for job in self.jobs)

    @property
    def at_least(self) -> bool:
        """Return whether the run may take longer than these jobs."""
        return self.at_most_s is not None

    @property
    def guessed(self) -> tuple[PlannedJob, ...]:
        """Return the jobs without history."""
        return tuple(job for job in self.jobs if not job.known)


def plan(
    suite: ResolvedSuite,
    cells: Sequence[Cell],
    known_s: Mapping[str, float],
    *,
    beside: bool = False,
    refused: Mapping[str, str] | None = None,
) -> RunPlan:
    """Return the jobs that `cells` of the suite need and how long each may take.

    With `beside` each measure job is two, as a baseline's process is measured beside the cell's.
    `known_s` maps `history_key`s to seconds, as `read_durations` returns them. That results may be
    in the cache is not considered. A cell that is expected not to work is only prepared, as is one
    that is `refused`, for the reason under its key.
    """
    refused = refused or {}
    in_rounds = set(inspected_in_rounds(suite, cells))
    guess = _Guess(suite)
    jobs = [
        job for cell in cells for job in _jobs(guess, cell, cell in in_rounds, known_s, refused)
    ]
    if beside:
        jobs = [_doubled(job) if job.kind == "measure" else job for job in jobs]
    return RunPlan(tuple(jobs), _at_most_s(suite, jobs), dict(refused))


def _at_most_s(suite: ResolvedSuite, jobs: Sequence[PlannedJob]) -> float | None:
    """Return the seconds with all rounds that there may be; None if their number is fixed.

    A round that has begun is finished, also when `minutes` are over.
    """
    if suite.looks is None:
        return None
    least = suite.looks.first
    round_s = math.fsum(job.each_s for job in jobs if job.count == least)  # of others there is 1
    more_s = round_s * (suite.looks.most - least)
    if suite.minutes is not None:
        time_left_s = max(0.0, suite.minutes * 60.0 - round_s * least)
        more_s = min(more_s, round_s * math.ceil(time_left_s / round_s)) if round_s else 0.0
    return math.fsum(job.total_s for job in jobs) + more_s


def _doubled(job: PlannedJob) -> PlannedJob:
    return msgspec.structs.replace(job, each_s=2.0 * job.each_s)


def history_key(kind: JobKind, cell_key: str) -> str:
    """Return the key under which the duration of one job of a cell is kept."""
    return f"{kind}/{cell_key}"


def _jobs(
    guess: _Guess,
    cell: Cell,
    in_rounds: bool,
    known_s: Mapping[str, float],
    refused: Mapping[str, str],
) -> list[PlannedJob]:
    suite = guess.suite
    hopeless = cell.key in refused or any(expects(expect, cell) for expect in suite.expect)
    counts: dict[JobKind, int] = {"prepare": 1}
    if suite.only_answers(cell):
        counts["evaluate"] = 1
    elif not hopeless:
        counts |= {"measure": suite.least_processes, "evaluate": 1}
        counts["inspect"] = suite.least_processes if in_rounds else 1
    jobs = []
    for kind, count in counts.items():
        known = known_s.get(history_key(kind, cell.key))
        each_s = known if known is not None else guess.seconds(cell, kind, hopeless)
        jobs.append(PlannedJob(kind, cell.key, count, each_s, known is not None))
    return jobs


class _Guess:
    """Guesses how long jobs take that have no history; what is trained once counts once."""

    def __init__(self, suite: ResolvedSuite) -> None:
        self.suite = suite
        self._trained: set[bytes] = set()

    def seconds(self, cell: Cell, kind: JobKind, hopeless: bool) -> float:
        suite = self.suite
        on_torch = _takes_modules(suite.runtime(cell.runtime))
        start_s = TORCH_START_S if on_torch else START_S
        if kind == "prepare":
            recipe = next(one for one in suite.recipes if one.name == cell.recipe)
            if hopeless or recipe.shipped is not None:
                return START_S + WORK_S
            passes_s = PASS_S * len(recipe.passes)
            return PREPARE_S + passes_s + EPOCH_S * self._epochs(cell, recipe.passes)
        if kind == "measure":
            return start_s + suite.measure.seconds
        if kind == "evaluate":
            call_s = TORCH_CALL_S if on_torch else CALL_S
            most = TEST_SET if suite.evaluate.split == "test" else VALIDATION_SET
            return start_s + WORK_S + call_s * min(suite.evaluate.samples or most, most)
        return start_s + WORK_S + suite.inspect.seconds

    def _epochs(self, cell: Cell, passes: Sequence[PassUse]) -> int:
        """Return the epochs of the trainings of a recipe that no cell before has done.

        A net is the same for all cells of a workload until a pass listens to their own clocks.
        """
        epochs, target = 0, Cell(cell.workload, "", "")
        for count, use in enumerate(passes, 1):
            if not _is_for_all(use):
                target = msgspec.structs.replace(cell, recipe="")
            name = msgspec.json.encode((target, passes[:count]), order="sorted")
            if name not in self._trained:
                self._trained.add(name)
                epochs += _epochs(use)
        return epochs


def _is_for_all(use: PassUse) -> bool:
    """Tell whether a pass makes the same net for all cells, or for the runtime that it names."""
    return use.use == "distill" or not {"runtime", OLD_RUNTIME_FIELD}.isdisjoint(use.fields)


def _takes_modules(runtime: str) -> bool:
    """Return whether an engine of the table runs torch modules; of others, no file is imported."""
    from perfsuite.runtimes.table import RUNTIMES

    return runtime in RUNTIMES and RUNTIMES[runtime]().takes == "module"


def _epochs(use: PassUse) -> int:
    """Return how many epochs a pass trains, if it has the fields of perfsuite's passes."""
    from perfsuite.passes.distill.distill import PLAN

    fields = use.fields
    if fields.get("untrained") is True:
        return 0
    plan, steps = fields.get("finetune", fields.get("train")), fields.get("steps", 1)
    epochs = plan.get("epochs", 0) if isinstance(plan, dict) else 0
    if use.use == "distill" and plan is None:
        epochs = PLAN.epochs
    return epochs * steps if isinstance(epochs, int) and isinstance(steps, int) else 0


def read_durations() -> dict[str, float]:
    """Return the durations of jobs in earlier runs, in seconds by `history_key`.

    A file that cannot be read is ignored with a warning, as it only makes the estimate worse.
    """
    path = _durations()
    try:
        durations = msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s is ignored, durations are guessed: %s", path, error)
        return {}
    return {key: seconds for key, seconds in durations.items() if seconds >= 0}


def remember(lines: Iterable[Line]) -> None:
    """Store the durations of the jobs of these lines for the next plan.

    The duration of a result from the cache is stored only if no other is known.
    """
    known = read_durations()
    new: dict[str, float] = {}
    for line in lines:
        key = history_key(line.job, line.key)
        found = line.baseline and line.job == "prepare"  # which takes no time
        if line.status == "ok" and not found and not (line.cached and key in known):
            new[key] = line.duration_s
    write_durations(new)


def write_durations(new: Mapping[str, float]) -> None:
    """Add `new` to the history, replacing what it had under the same keys.

    The file is replaced at once, so that a reader sees the old or the new one. If the folder cannot
    be written, the history is not stored, with a warning.
    """
    path = _durations()
    merged = read_durations() | {
        key: seconds for key, seconds in new.items() if 0 <= seconds < math.inf
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(merged, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        log.warning("%s: durations are not kept: %s", path, error)


def _durations() -> Path:
    return home() / "durations.json"
