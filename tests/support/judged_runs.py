"""Runs built by hand, for tests of what is judged: two cells, the latencies of their processes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.record import Accuracy, BetweenRuns, Header, Record, Run
from perfsuite.domain.suite import Budget, ResolvedSuite, Split
from perfsuite.domain.verdict import Verdict
from perfsuite.report.sentences import caution_sentence

MACHINE = Environment(
    MustMatch("A", 6, 85, 7, ("avx2", "avx512f"), {"L1d": 32768}, 2, None), {"torch": "2.15"}, {}
)
EAGER = Cell("vgg", "fp32", "pytorch")
INT8 = Cell("vgg", "int8", "openvino")


def record(cell: Cell, *latencies: float, **fields: Any) -> Record:
    """A cell whose n-th process always took the n-th latency.

    `each` holds, by metric, what the processes gave of others.
    """
    each: dict[str, tuple[float, ...]] = fields.pop("each", {})
    defaults: dict[str, Any] = {
        "status": "ok",
        "latencies_s": {number: (one,) * 3 for number, one in enumerate(latencies)},
        "values": dict(each),
        "by_round": {name: dict(enumerate(values)) for name, values in each.items()},
        "evidence": None,
        "labels": (),
        "error": None,
    }
    return Record(cell=cell, **(defaults | fields))


def run(*records: Record, cells: tuple[Cell, ...] = (), **suite: Any) -> Run:
    environment = suite.pop("environment", MACHINE)
    metrics = suite.pop("metrics", ())  # those that the table has not, as a stored run defines them
    cells = cells or tuple(one.cell for one in records)
    fields: dict[str, Any] = {
        "name": "s",
        "workloads": {"vgg": "vgg"},
        "runtimes": ("pytorch", "openvino"),
        "recipes": (FP32, ResolvedRecipe("int8")),
    }
    header = Header(1, "0", "2026-01-01", ResolvedSuite(**(fields | suite)), cells, environment)
    header = msgspec.structs.replace(header, metrics=metrics)
    looks = header.suite.looks
    defined = (msgspec.structs.replace(one, metrics=metrics, looks=looks) for one in records)
    return Run(header, {one.cell.id: one for one in defined})


def known_noise(made: Run, deviation: float, *cells: Cell, runs: int = 5) -> Run:
    """The run, begun when it was known how much runs of its cells differ."""
    of = cells or made.header.cells
    learned = {cell.id: BetweenRuns(deviation, runs) for cell in of}
    return msgspec.structs.replace(
        made, header=msgspec.structs.replace(made.header, between_runs=learned)
    )


def measured_beside(made: Run, *baselines: Record) -> Run:
    """The run, with what was measured of the baseline's artifacts in its rounds."""
    return msgspec.structs.replace(made, beside={one.cell.id: one for one in baselines})


def measured_again(made: Run, *records: Record, beside: tuple[Record, ...] = ()) -> Run:
    """The run, with the rounds of a second measurement, which follow those of the first."""
    first = made.header.suite.processes

    def later(one: Record) -> Record:
        times = {first + number: samples for number, samples in one.latencies_s.items()}
        return msgspec.structs.replace(one, latencies_s=times, looks=made.header.suite.looks)

    cells = tuple(one.cell for one in records)
    again = msgspec.structs.replace(
        made,
        header=msgspec.structs.replace(made.header, cells=cells),
        records={one.cell.id: later(one) for one in records},
        beside={one.cell.id: later(one) for one in beside},
    )
    return msgspec.structs.replace(made, again=again)


def accuracy(
    value: float,
    spread: float = 0.0,
    digest: str = "d",
    samples: int = 2000,
    metric: str = "top1",
    split: Split = "test",
) -> Accuracy:
    offsets = np.linspace(-spread, spread, 101)
    replicates = tuple(float(value + o) for o in offsets)
    return Accuracy(metric, value, samples, digest, replicates, split)


def only(verdicts: tuple[Verdict, ...]) -> Verdict:
    assert len(verdicts) == 1, verdicts
    return verdicts[0]


def budget(**fields: Any) -> Budget:
    defaults: dict[str, Any] = {
        "name": "b",
        "metric": "latency_s",
        "cell": "vgg/int8/*",
        "against": "vgg/fp32/pytorch/*",
    }
    return Budget(**(defaults | fields))


PAIR = (record(EAGER, 0.10, 0.11, 0.105, 0.10), record(INT8, 0.0101, 0.0111, 0.0105, 0.0099))


def noisy(factor: float, seed: int, noise: float, **suite: Any) -> Run:
    rng = np.random.default_rng(seed)
    return run(
        *(
            record(
                cell,
                *(float(x) for x in base * factor * np.exp(rng.normal(0, noise, 4))),
                accuracies=(accuracy(0.93),),
            )
            for cell, base in ((EAGER, 0.1), (INT8, 0.01))
        ),
        **suite,
    )


def scaled(before: Run, factor: float, *cells: Cell) -> Run:
    ids = [cell.id for cell in cells] or list(before.records)
    records = {
        key: msgspec.structs.replace(
            old,
            latencies_s={
                number: tuple(factor * one for one in samples)
                for number, samples in old.latencies_s.items()
            },
        )
        if key in ids
        else old
        for key, old in before.records.items()
    }
    return msgspec.structs.replace(before, records=records)


def other_machine(before: Run) -> Run:
    must_match = msgspec.structs.replace(
        MACHINE.must_match,
        processor="B",
        flags=("avx2",),
        usable_cores=64,
        caches_bytes={"L1d": 32768, "L2": 1},
    )
    environment = msgspec.structs.replace(MACHINE, must_match=must_match)
    return msgspec.structs.replace(
        before, header=msgspec.structs.replace(before.header, environment=environment)
    )


def warned(judgement: Judgement) -> tuple[str, ...]:
    """The warnings as a person reads them."""
    return tuple(caution_sentence(one) for one in judgement.warnings)
