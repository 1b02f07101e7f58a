"""The measure job: one fresh process, one artifact, raw latencies. Profilers are off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from perfsuite.domain.record import Line, Measurement
from perfsuite.domain.runtime import BoundTimes, Session
from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError
from perfsuite.measure.latency import (
    Latencies,
    Turns,
    call_for,
    garbage_collector_off,
    time_calls,
)
from perfsuite.measure.metering import Metering
from perfsuite.measure.slowed import SlowedSession
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job, line_of
from perfsuite.user_code import require_type, user_code

if TYPE_CHECKING:
    from torch import nn

MOST_BOUND_S = 1.0  # of calls with bound buffers
LONG_S, AGREEMENT = 1e-3, 0.05  # of a call of this length two clocks must agree to this share
# The label of a process in which they do not.
CLOCKS_DIFFER = "host and device clocks differ"
_UNBOUND = BoundTimes((), ())


def measure(job: Job, turns: Turns | None = None) -> Line:
    """Return the line with this process's latencies, load time and what its meters sampled.

    `load_s` is the time until a fresh process can answer, with the import of the engine. With
    `turns` calls are timed in slices, whenever it is this process's turn. The calls of a recipe
    with a `slowdown` take that much longer.
    """
    folder = Path(job.artifact)
    manifest = artifacts.read_manifest(folder)
    inputs = artifacts.read_inputs(folder)
    runtime = artifacts.load_runtime(job.runtime)
    options = artifacts.options(job, rebuilder(job))
    metering = Metering(job.meters, job.cell.device)
    metering.start("load")
    started = time.perf_counter()
    with artifacts.open_session(runtime, folder, manifest, options) as session:
        load_s = time.perf_counter() - started
        metering.stop("load")
        slowdown = job.recipe.slowdown
        timed = SlowedSession(session, slowdown) if slowdown else session
        clock = timed.clock or time.perf_counter_ns
        with user_code(f"{job.cell.key}: a call"):
            latencies = time_calls(
                timed,
                inputs,
                job.measure,
                clock=clock,
                metering=metering,
                turns=turns,
                not_finite=[manifest.outputs.index(name) for name in manifest.not_finite],
            )
            bound = _bound(session, inputs, job.measure)
            if metering.window_s > 0:
                metering.start("window")
                metering.stop("window", call_for(session, inputs, metering.window_s))
        metering.close()
    return line_of(
        job,
        status="ok",
        labels=(
            *(() if latencies.steady else ("unsteady",)),
            *(() if _clocks_agree(bound) else (CLOCKS_DIFFER,)),
            *metering.labels,
        ),
        measurements=(
            *_timings(latencies, job.cell.batch),
            *_bound_timings(bound),
            Measurement("load_s", "s", (load_s,)),
            *metering.measurements,
        ),
    )


def _bound(session: Session, inputs: Sequence[Inputs], settings: Measure) -> BoundTimes:
    """Return the times of calls with bound buffers; none where the session has no such calls."""
    time_bound = getattr(session, "time_bound", None)
    if time_bound is None:
        return _UNBOUND
    with garbage_collector_off():
        found = time_bound(inputs, settings.calls, min(settings.seconds, MOST_BOUND_S))
    return (
        _UNBOUND
        if found is None
        else require_type(
            found, BoundTimes, "a session's time_bound()", "perfsuite.domain.runtime.BoundTimes"
        )
    )


def _clocks_agree(bound: BoundTimes) -> bool:
    """Tell whether host and device tell the same time of calls that are long enough to compare."""
    if not bound.device_s or median(bound.host_s) < LONG_S:
        return True
    return abs(median(bound.device_s) / median(bound.host_s) - 1.0) <= AGREEMENT


def rebuilder(job: Job) -> Callable[[], nn.Module]:
    """Return a function that builds the module of `job`, for an engine that takes modules.

    Nothing is loaded until it is called, because other engines need only the artifact. It raises
    `ConfigError` if the source of a plug-in has changed since the artifact was prepared.
    """

    def rebuild() -> nn.Module:
        from perfsuite.runner.build.steps import steps_of
        from perfsuite.runner.build.variants import VariantBuilder
        from perfsuite.runner.build.workload import workload_of
        from perfsuite.store.cache import Cache

        if artifacts.read_facts(Path(job.artifact)).sources != artifacts.sources_of(job):
            raise ConfigError(
                f"{job.cell.key}: the source of its workload or of a pass has changed since it "
                f"was prepared; start a new run"
            )
        runtime = artifacts.load_runtime(job.runtime)
        workload = workload_of(job)
        return VariantBuilder(workload, job, steps_of(job, runtime), runtime, Cache()).rebuild()

    return rebuild


def _bound_timings(bound: BoundTimes) -> tuple[Measurement, ...]:
    if not bound.device_s:
        return ()
    return (
        Measurement("device_latency_s", "s", bound.device_s),
        Measurement("bound_latency_s", "s", bound.host_s),
    )


def _timings(latencies: Latencies, batch: int) -> tuple[Measurement, ...]:
    samples = latencies.samples_s
    return (
        Measurement("latency_s", "s", samples, slices=latencies.slices),
        Measurement("throughput_per_s", "1/s", (batch * len(samples) / sum(samples),)),
        Measurement("first_call_s", "s", (latencies.first_call_s,)),
        Measurement("warmup_calls", "1", (float(latencies.warmup_calls),)),
    )
