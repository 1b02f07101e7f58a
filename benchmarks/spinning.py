"""How long an engine's threads go on working after a call has returned: they spin for the next one.

    python benchmarks/spinning.py reports/demo 'vgg16-cifar10/fp32/*'

For each matching cell that a run has built: the artifact is opened and called, and the processor
time that this process takes while its own thread sleeps says how long the others were awake.
"""

from __future__ import annotations

import statistics
import sys
import time

from perfsuite import api
from perfsuite.config.expansion import match
from perfsuite.domain.record import Record
from perfsuite.domain.runtime import SessionOptions
from perfsuite.errors import PerfsuiteError
from perfsuite.runner.build.artifacts import (
    load_runtime,
    open_session,
    read_inputs,
    read_manifest,
)
from perfsuite.store.cache import Cache

CALLS = 30
STEP_S = 0.001  # between two looks at the processor time
IDLE_STEPS = 5  # in a row without any: the threads have stopped
LIMIT_S = 1.0


def awake_s() -> float:
    """Return how long after now this process's other threads stop taking processor time."""
    began = time.perf_counter()
    last_busy, idle = began, 0
    before = time.process_time()
    while idle < IDLE_STEPS and time.perf_counter() - began < LIMIT_S:
        time.sleep(STEP_S)
        spent, before = time.process_time() - before, time.process_time()
        if spent > STEP_S / 2:
            last_busy, idle = time.perf_counter(), 0
        else:
            idle += 1
    return last_busy - began


def spinning_s(record: Record) -> list[float]:
    """Return, for each of `CALLS` calls of a cell's artifact, how long its threads stayed awake."""
    folder = Cache().get("artifact", record.artifact)
    if folder is None:
        raise SystemExit(f"{record.cell.key}: its artifact has left the cache; run the suite again")
    manifest, inputs = read_manifest(folder), read_inputs(folder)
    options = SessionOptions(record.cell.batch, record.cell.threads)
    with open_session(load_runtime(record.cell.runtime), folder, manifest, options) as session:
        session.run(inputs[0])
        found = []
        for index in range(CALLS):
            session.run(inputs[index % len(inputs)])
            found.append(awake_s())
        return found


def main(folder: str, pattern: str) -> int:
    """Print a line for each matching cell, and return the exit code."""
    try:
        run = api.show(folder).run
    except PerfsuiteError as error:
        print(error, file=sys.stderr)
        return 2
    for record in run.records.values():
        # An engine that takes modules would need the workload: its threads are OpenMP's.
        if match(pattern, record.cell.key) and load_runtime(record.cell.runtime).takes == "graph":
            found = sorted(1e3 * one for one in spinning_s(record))
            print(
                f"{record.cell.key}: {statistics.median(found):.1f} ms after a call "
                f"(from {found[0]:.1f} to {found[-1]:.1f} over {CALLS} calls)"
            )
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
