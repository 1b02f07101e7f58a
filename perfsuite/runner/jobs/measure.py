"""The measure job: one fresh process, one artifact, raw latencies. Profilers are off."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.record import Line, Measurement
from perfsuite.errors import ConfigError
from perfsuite.measure.latency import Latencies, Turns, time_calls
from perfsuite.measure.metering import Metering
from perfsuite.measure.slowed import SlowedSession
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job, line_of
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn


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
    options = artifacts.options(job.cell, rebuilder(job))
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
                timed, inputs, job.measure, clock=clock, metering=metering, turns=turns
            )
    return line_of(
        job,
        status="ok",
        labels=(*(() if latencies.steady else ("unsteady",)), *metering.labels),
        measurements=(
            *_timings(latencies, job.cell.batch),
            Measurement("load_s", "s", (load_s,)),
            *metering.measurements,
        ),
    )


def rebuilder(job: Job) -> Callable[[], nn.Module]:
    """Return a function that builds the module of `job`, for an engine that takes modules.

    Nothing is loaded until it is called, because other engines need only the artifact. It raises
    `ConfigError` if the source of a plug-in has changed since the artifact was prepared.
    """

    def rebuild() -> nn.Module:
        from perfsuite.runner.build.steps import steps_of
        from perfsuite.runner.build.variants import VariantBuilder
        from perfsuite.store.cache import Cache
        from perfsuite.workloads.table import load_workload

        if artifacts.read_facts(Path(job.artifact)).sources != artifacts.sources_of(job):
            raise ConfigError(
                f"{job.cell.key}: the source of its workload or of a pass has changed since it "
                f"was prepared; start a new run"
            )
        runtime = artifacts.load_runtime(job.runtime)
        workload = load_workload(job.reference, job.samples)
        return VariantBuilder(workload, job, steps_of(job, runtime), runtime, Cache()).rebuild()

    return rebuild


def _timings(latencies: Latencies, batch: int) -> tuple[Measurement, ...]:
    samples = latencies.samples_s
    return (
        Measurement("latency_s", "s", samples, slices=latencies.slices),
        Measurement("throughput_per_s", "1/s", (batch * len(samples) / sum(samples),)),
        Measurement("first_call_s", "s", (latencies.first_call_s,)),
        Measurement("warmup_calls", "1", (float(latencies.warmup_calls),)),
    )
