"""The suite that a search begins with, and its target, after both were checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from perfsuite.config.profile_suite import single_suite
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.cell import Cell
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.optimum import Goal
from perfsuite.domain.recipe import FP32
from perfsuite.domain.suite import Evaluate, Inspect, Measure, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

ROUNDS = 3  # in which candidates are measured; the final run measures until it is decided
MEASURE = Measure(calls=10, seconds=0.5, warmup_seconds=2.0)


def optimize_suite(
    workload: WorkloadReference,
    runtimes: Sequence[RuntimeReference] = (),
    *,
    batch: int = 1,
    threads: int | None = None,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
) -> ResolvedSuite:
    """Return the suite of a workload on `runtimes`, by default on all that can run it.

    Its cells are judged on the validation samples, which no training of it sees. Raises
    `ConfigError` for names that do not exist, and for a batch below 1.
    """
    for option, value in (("--batch", batch), ("--threads", threads)):
        if value is not None and value < 1:
            raise ConfigError(f"{option} is {value}; it must be at least 1")
    suite = single_suite(
        workload, runtimes, batch=batch, threads=threads, samples=samples, shapes=shapes
    )
    (name,) = suite.workloads
    if not runtimes and suite.workloads[name].endswith(".onnx"):
        suite = msgspec.structs.replace(suite, runtimes=_takers_of_graphs(suite.runtimes))
    return msgspec.structs.replace(
        suite,
        name=f"optimize-{name}",
        processes=ROUNDS,
        measure=MEASURE,
        inspect=Inspect(),
        evaluate=Evaluate(split="validation"),
        hold_out=True,
    )


def goal_of(
    suite: ResolvedSuite,
    speedup: float,
    max_drop_points: float,
    versus: str | None,
    minutes: float,
) -> Goal:
    """Return the target; raise `ConfigError` for one that contradicts itself.

    The reference is fp32 on eager PyTorch, or without that on the first of the runtimes.
    """
    if not math.isfinite(speedup) or speedup <= 1.0:
        raise ConfigError(
            f"--speedup is {speedup:g}, and must be above 1: 5 is five times as fast as --versus"
        )
    if not 0.0 <= max_drop_points <= 100.0:
        raise ConfigError(
            f"--max-drop-points is {max_drop_points:g}, and must be from 0 to 100: 1 is one "
            f"percentage point of the accuracy"
        )
    if not math.isfinite(minutes) or minutes <= 0.0:
        raise ConfigError(f"--minutes is {minutes:g}, and must be above 0")
    runtime, precision = _versus(suite, versus)
    return Goal(float(speedup), float(max_drop_points), f"{runtime}/{precision}", float(minutes))


def reference_cell(suite: ResolvedSuite, goal: Goal, threads: int) -> Cell:
    """Return the cell of the net as it is that all others are compared with."""
    runtime, _, precision = goal.versus.rpartition("/")
    (workload,), (batch,), (device,) = suite.workloads, suite.batches, suite.devices
    return Cell(workload, FP32.name, runtime, device, precision, batch, threads)


def _versus(suite: ResolvedSuite, versus: str | None) -> tuple[str, str]:
    """Return the runtime and the precision that `versus` names; the latter may be left out."""
    if versus is None:
        return ("pytorch" if "pytorch" in suite.runtimes else suite.runtimes[0]), "fp32"
    runtime, _, precision = versus.partition("/")
    precision = precision or "fp32"
    if runtime not in suite.runtimes:
        raise ConfigError(
            f"--versus '{versus}': '{runtime}' is none of the runtimes of this search"
            f"{suggestion(runtime, suite.runtimes)}; write RUNTIME/PRECISION, as pytorch/fp32, and "
            f"name the runtime by --runtime too"
        )
    known = _precisions(suite.runtime(runtime))
    if known and precision not in known:
        raise ConfigError(
            f"--versus '{versus}': {runtime} has no precision '{precision}'"
            f"{suggestion(precision, known)}"
        )
    return runtime, precision


def _precisions(reference: str) -> tuple[str, ...]:
    """Return the precisions of an engine of the table; none of a user's, whose file is not run."""
    from perfsuite.runtimes.table import RUNTIMES

    return RUNTIMES[reference]().precisions if reference in RUNTIMES else ()


def _takers_of_graphs(runtimes: Sequence[str]) -> tuple[str, ...]:
    from perfsuite.runtimes.table import RUNTIMES

    return tuple(one for one in runtimes if RUNTIMES[one]().takes == "graph")
