"""Measured together against one after the other: how far the ratio of two cells spreads, and where.

    python benchmarks/together.py reports/demo [--rounds N]

For each workload of a run, every cell beside eager PyTorch in fp32, on the artifacts that the run
has built: the log ratio of a pair of fresh processes, once taking turns and once one after the
other, for the same seconds of timing. Prints the standard deviation of both over the rounds, their
quotient, and the bias: the latency taken in turns over that with the machine to itself.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys

import msgspec

from perfsuite import api
from perfsuite.domain.record import Line, Run
from perfsuite.errors import PerfsuiteError
from perfsuite.judge.intervals import log_ratio_of_slices, mean_interval
from perfsuite.judge.references import reference_cell
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import run_job_in_process
from perfsuite.runner.turns import measure_in_turns
from perfsuite.store.cache import Cache


def measure_job(run: Run, cell_id: str, together: str = "") -> Job:
    """Return the measure job of a cell of the run."""
    record = run.records[cell_id]
    folder = Cache().get("artifact", record.artifact)
    if folder is None:
        raise SystemExit(f"{record.cell.key}: its artifact has left the cache; run the suite again")
    return msgspec.structs.replace(
        first_job(run.header.suite, record.cell),
        kind="measure",
        artifact=str(folder),
        artifact_key=record.artifact,
        together=together,
    )


def latencies(line: Line) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return the samples of a measure line, and how many each slice has."""
    if line.status != "ok":
        raise SystemExit(f"{line.key}: {line.error.message if line.error else line.status}")
    found = next(one for one in line.measurements if one.metric == "latency_s")
    return found.samples, found.slices


def compare(run: Run, reference_id: str, cell_id: str, rounds: int) -> str:
    """Return a row of the table."""
    in_turns, apart, bias = [], [], []
    pair = [measure_job(run, one, "pair") for one in (reference_id, cell_id)]
    alone = [measure_job(run, one) for one in (reference_id, cell_id)]
    for number in range(rounds):
        order = 1 if number % 2 == 0 else -1
        (a, a_counts), (b, b_counts) = map(
            latencies, measure_in_turns(pair[::order], lambda job: None)[::order]
        )
        ratio = log_ratio_of_slices(a, a_counts, b, b_counts)
        if ratio is not None:
            in_turns.append(ratio)
        (c, _), (d, _) = map(
            latencies, [run_job_in_process(job) for job in alone[::order]][::order]
        )
        apart.append(math.log(statistics.median(c) / statistics.median(d)))
        bias.append(math.log(statistics.median(b) / statistics.median(d)))
    one, other = statistics.stdev(in_turns), statistics.stdev(apart)
    around = mean_interval(bias)
    assert around is not None
    return (
        f"| {run.records[cell_id].cell.key} | {one:.3f} | {other:.3f} | {other / one:.1f} "
        f"| {around.value:.3f} ({around.low:.3f} to {around.high:.3f}) |"
    )


def main() -> int:
    """Print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    try:
        run = api.show(arguments.run).run
    except PerfsuiteError as error:
        print(error, file=sys.stderr)
        return 2
    print("| cell | together | apart | quotient | bias of its latency |")
    print("| --- " * 5 + "|")
    cells = [cell for cell in run.header.cells if run.records[cell.id].status == "ok"]
    for cell in cells:
        reference = reference_cell(cell, cells)
        if reference is not None and reference != cell:
            print(compare(run, reference.id, cell.id, arguments.rounds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
