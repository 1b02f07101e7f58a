"""What perfsuite itself adds to a call: its measuring of a session that does nothing.

    python benchmarks/overhead.py

Prints the median and the spread over repetitions, in microseconds a call, and exits with 1 when
the median is over the limit. The cost is the wall time of `time_calls` over the calls it made: it
holds the loop, both readings of the clock, the rotation of the inputs, the null call, and the
start and end (a garbage collection, the conversion of the samples), which a short run pays too.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.measure.latency import time_calls

LIMIT_US = 25.0
REPETITIONS = 20
CALLS = 10_000


class NullSession:
    """Returns at once."""

    def run(self, inputs: Inputs) -> Outputs:
        """Return no outputs."""
        return []


def cost_us() -> float:
    """Return the microseconds that one repetition took, by call."""
    inputs = [{"input": np.zeros((1, 3, 32, 32), np.float32)} for _ in range(8)]
    settings = Measure(calls=CALLS, seconds=0.0, warmup_seconds=0.0)
    start = time.perf_counter_ns()
    latencies = time_calls(NullSession(), inputs, settings)  # type: ignore[arg-type]
    stop = time.perf_counter_ns()
    return (stop - start) / 1e3 / (latencies.warmup_calls + len(latencies.samples_s))


def main() -> int:
    """Measure, print, and return the exit code."""
    costs = sorted(cost_us() for _ in range(REPETITIONS))
    median = statistics.median(costs)
    print(
        f"perfsuite's own cost: {median:.3f} us a call "
        f"(from {costs[0]:.3f} to {costs[-1]:.3f} over {REPETITIONS} repetitions of {CALLS} calls; "
        f"limit {LIMIT_US:g} us)"
    )
    return 0 if median <= LIMIT_US else 1


if __name__ == "__main__":
    sys.exit(main())
