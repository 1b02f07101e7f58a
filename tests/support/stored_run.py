"""A small stored run, made by hand."""

from __future__ import annotations

from pathlib import Path

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.record import SCHEMA, Accuracy, Evidence, Header, Line, Measurement
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.store.journal import Journal

PROCESSES = 3
LATENCIES_S = {"pytorch": 0.010, "openvino": 0.002}


def store_run(folder: Path) -> Path:
    """Write a run of two cells and one budget, which holds, into `folder`; return it."""
    cells = tuple(Cell("net", "fp32", runtime) for runtime in LATENCIES_S)
    budget = Budget(
        "three times as fast",
        "latency_s",
        cell="net/fp32/openvino/*",
        against="net/fp32/pytorch/*",
        min_speedup=3.0,
    )
    suite = ResolvedSuite(
        "small",
        {"net": "net"},
        tuple(LATENCIES_S),
        (),
        processes=PROCESSES,
        budgets=(budget,),
    )
    machine = MustMatch("a processor", 1, 2, 3, ("avx2",), {"L1d": 32768}, 2, None)
    header = Header(
        SCHEMA, "0.1.0", "2026-01-01T00:00:00+00:00", suite, cells, Environment(machine, {}, {})
    )
    with Journal.create(folder, header) as journal:
        for cell in cells:
            for line in lines(cell):
                journal.append(line)
    return folder


def lines(cell: Cell) -> list[Line]:
    """Return the lines of every job of `cell`."""
    latency_s = LATENCIES_S[cell.runtime]
    found = [
        Line(cell.id, cell.key, "prepare", "ok", artifact="a" * 64),
        Line(
            cell.id,
            cell.key,
            "evaluate",
            "ok",
            accuracies=(Accuracy("top1", 0.9, 100, "samples", tuple([0.9] * 1000)),),
        ),
        Line(cell.id, cell.key, "inspect", "ok", evidence=Evidence((), {"Conv fp32": 1})),
    ]
    for number in range(PROCESSES):
        # Processes differ by a hundredth, as they do.
        samples = tuple([latency_s * (1 + 0.01 * number)] * 30)
        found.append(
            Line(
                cell.id,
                cell.key,
                "measure",
                "ok",
                round=number,
                order=0,
                measurements=(Measurement("latency_s", "s", samples),),
            )
        )
    return found
