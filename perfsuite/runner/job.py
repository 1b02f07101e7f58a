"""The jobs of a suite: all that a worker process is given."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import JobKind, Line
from perfsuite.domain.suite import (
    DetectionTable,
    Evaluate,
    Inspect,
    Measure,
    Require,
    ResolvedSuite,
)
from perfsuite.libraries.switches import Switch, switch_of

T = TypeVar("T")

# The turns in which an inspect job profiles, one forwards and one backwards. There are not more,
# because some engines take a profile in one piece, and open what they trace anew each time.
PROFILES = 2

# Of the process that runs the jobs: another text in each.
_SITTING = secrets.token_hex(8)

JobName = tuple[str, JobKind, int | None, bool]  # cell id, kind, round, whether of the baseline


class Job(msgspec.Struct, frozen=True):
    """One job of one cell.

    `reference`, `runtime` and `meters` are the references by which workload, runtime and meters are
    loaded; `shapes` are those that a suite gives an ONNX file's inputs, `detection` how one is
    judged that is a detector; `picture` is the file that inputs are made from, or ''. With
    `hold_out`, passes train without the samples that validation uses.
    `artifact` is the folder of the prepared artifact, '' for a prepare
    job; `artifact_key` is its key. `rows` is the file into which an evaluate job writes the rows,
    `against` the id of the cell that answers are compared with, '' for that cell itself.
    `round` and `order` are those of a measure job, and of an inspect job if the cell is inspected
    in rounds. `training` is the plan of a training whose time a survey job estimates. `limit_s` is
    what is left of the run's time, if that is limited. `sitting` names the process that runs the
    jobs: what nobody can tell to be up to date is found again by jobs of the same one alone.
    """

    kind: JobKind
    cell: Cell
    reference: str
    runtime: str
    samples: str
    recipe: ResolvedRecipe
    evaluate: Evaluate
    measure: Measure
    inspect: Inspect = Inspect()
    meters: tuple[str, ...] = ()
    shapes: dict[str, tuple[int | str, ...]] = {}
    detection: DetectionTable | None = None
    picture: str = ""
    artifact: str = ""
    artifact_key: str = ""
    rows: str = ""
    against: str = ""
    round: int | None = None
    order: int | None = None
    baseline: bool = False  # of the baseline's artifact, measured beside the cell's own
    part: int = 0  # above 0 for a further process of a cell in its round
    cached_only: bool = False  # nothing is made: what is not in the cache is an error
    together: str = ""  # names the cells that take turns; empty where none do
    hold_out: bool = False
    training: dict[str, Any] = {}
    require: tuple[Require, ...] = ()  # of this cell
    asks_layers: bool = False  # of a prepare job: only which layers its pass can change is found
    limit_s: float | None = None
    sitting: str = ""

    @property
    def timeout_s(self) -> float:
        """Return the time limit of the job; it is a day for preparing, which may train."""
        own_s = 86400.0 if self.kind == "prepare" else self.measure.timeout_seconds
        return own_s if self.limit_s is None else min(own_s, self.limit_s)

    @property
    def is_timed(self) -> bool:
        """Return whether the job's times go on record: nothing else should run beside it."""
        return self.kind in ("measure", "inspect")

    @property
    def switch(self) -> Switch | None:
        """Return what is turned off in the job's process; nothing where an artifact is only made.

        Nor where only the cache is looked into. Raises `ConfigError` for an unknown switch.
        """
        opens = self.kind in ("measure", "evaluate", "inspect") and not self.cached_only
        return switch_of(self.cell) if opens else None

    @property
    def name(self) -> JobName:
        """Return the identity of the job within its run."""
        return (self.cell.id, self.kind, self.round, self.baseline)


def first_job(suite: ResolvedSuite, cell: Cell) -> Job:
    """Return the cell's prepare job; the other kinds are made from it with `then`."""
    from perfsuite.config.expansion import requires  # no process that measures needs it

    recipes = {recipe.name: recipe for recipe in suite.recipes}
    return Job(
        kind="prepare",
        cell=cell,
        reference=suite.workloads[cell.workload],
        runtime=suite.runtime(cell.runtime),
        samples=suite.samples.get(cell.workload, ""),
        shapes=suite.shapes.get(cell.workload, {}),
        detection=suite.detection.get(cell.workload),
        recipe=recipes[cell.recipe],
        evaluate=suite.evaluated(cell),
        measure=suite.measure,
        inspect=suite.inspect,
        meters=suite.meters,
        picture=suite.picture,
        hold_out=suite.hold_out,
        require=tuple(one for one in suite.require if requires(one, cell)),
        sitting=_SITTING,
    )


def in_turn(items: Sequence[T], number: int) -> Sequence[T]:
    """Return the items in the order of round `number`, which alternates.

    So a drift of the machine does not always affect the same ones.
    """
    return items if number % 2 == 0 else items[::-1]


def name_of_line(line: Line) -> JobName:
    """Return the name of the job whose line this is."""
    return (line.cell, line.job, line.round, line.baseline)


def line_of(job: Job, **fields: object) -> Line:
    """Return a line of `job` with the given fields beside those that name it."""
    return Line(
        cell=job.cell.id,
        key=job.cell.key,
        job=job.kind,
        round=job.round,
        order=job.order,
        baseline=job.baseline,
        part=job.part,
        artifact=job.artifact_key,
        together=job.together,
        **fields,  # type: ignore[arg-type]
    )
