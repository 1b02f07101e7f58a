"""The jobs of a suite: what a worker process is told, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import JobKind, Line
from perfsuite.domain.suite import Evaluate, Inspect, Measure, ResolvedSuite


class Job(msgspec.Struct, frozen=True):
    """One job of one cell.

    `reference` and `runtime` say where workload and engine are found; `picture` is the file that
    inputs are made of, or empty; `meters` are found as engines are. `artifact` is the folder of
    the prepared artifact, empty for a prepare job; `artifact_key` its key. `rows` is where an
    evaluate job leaves the rows. `round` and `order` belong to measuring, and to inspecting where
    that is done in rounds.
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
    picture: str = ""
    artifact: str = ""
    artifact_key: str = ""
    rows: str = ""
    round: int | None = None
    order: int | None = None

    @property
    def timeout_s(self) -> float:
        """Return how long the job may take; preparing may have to train, and gets a day."""
        return 86400.0 if self.kind == "prepare" else self.measure.timeout_seconds

    @property
    def name(self) -> tuple[str, JobKind, int | None]:
        """Return what identifies the job within its run."""
        return (self.cell.id, self.kind, self.round)


def first_job(suite: ResolvedSuite, cell: Cell) -> Job:
    """Return the cell's prepare job; the other kinds are made from it with `then`."""
    recipes = {recipe.name: recipe for recipe in suite.recipes}
    return Job(
        kind="prepare",
        cell=cell,
        reference=suite.workloads[cell.workload],
        runtime=suite.runtime(cell.runtime),
        samples=suite.samples.get(cell.workload, ""),
        recipe=recipes[cell.recipe],
        evaluate=suite.evaluate,
        measure=suite.measure,
        inspect=suite.inspect,
        meters=suite.meters,
        picture=suite.picture,
    )


def rounds(cells: Iterable[Cell], count: int) -> Iterator[tuple[int, int, Cell]]:
    """Yield (round, order, cell): every cell once a round, in alternating order.

    Alternating keeps a drift of the machine from always falling on the same cells.
    """
    listed = list(cells)
    for number in range(count):
        turn = listed if number % 2 == 0 else listed[::-1]
        for order, cell in enumerate(turn):
            yield number, order, cell


def line_of(job: Job, **fields: object) -> Line:
    """Return a line of `job` with the given fields beside those that name it."""
    return Line(
        cell=job.cell.id,
        key=job.cell.key,
        job=job.kind,
        round=job.round,
        order=job.order,
        artifact=job.artifact_key,
        **fields,  # type: ignore[arg-type]
    )
