"""The inspect job: what really ran and where its time went, with all switched on that tells."""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec

from perfsuite.domain.profile import Breakdown, Profile, Roofline
from perfsuite.domain.record import NO_BREAKDOWN, Evidence, Item, Line, Measurement
from perfsuite.domain.runtime import Manifest, Session
from perfsuite.domain.suite import STAGE, Inspect
from perfsuite.domain.task import Inputs
from perfsuite.engine import artifacts
from perfsuite.engine.jobs import Job
from perfsuite.engine.measuring import rebuilder
from perfsuite.engine.process import line_of
from perfsuite.errors import BuildError, PerfsuiteError, Unavailable, Unsupported
from perfsuite.libraries.table import loaded
from perfsuite.measure.roofline import roofline
from perfsuite.measure.stages import breakdown
from perfsuite.runtimes.evidence import check_precision

CALLS = 3  # the first builds kernels; the others show which of them run
MOST_CALLS = 100  # more would only take longer to read


def inspect(job: Job) -> Line:
    """Return the line with the evidence and the breakdown of a profiled call.

    Raises `SilentFallback` where the evidence is not what was asked for. An engine that cannot be
    profiled gives no breakdown: that is a label, and the reason an item of evidence.
    """
    folder = Path(job.artifact)
    manifest = artifacts.read_manifest(folder)
    inputs = artifacts.read_inputs(folder)
    parts = artifacts.read_parts(folder)
    runtime = artifacts.load_runtime(job.runtime)
    opening = artifacts.opening(job.cell, rebuilder(job), inspect=True, spans=parts.spans)
    with artifacts.open_session(runtime, folder, manifest, opening) as session:
        for index in range(CALLS):
            session.run(inputs[index % len(inputs)])
        evidence = session.evidence()
        libraries = loaded()
        check_precision(evidence, manifest)
        evidence = msgspec.structs.replace(evidence, items=(*evidence.items, *libraries))
        try:
            found = breakdown(_profile(session, inputs, job), parts.nodes, parts.stages)
        except Unsupported as error:
            return _without(job, evidence, error)
    return line_of(
        job,
        status="ok",
        evidence=evidence,
        breakdown=found,
        roofline=_roofline(job, manifest) if job.inspect.roofline else None,
        measurements=_times(found),
    )


def _without(job: Job, evidence: Evidence, error: Unsupported) -> Line:
    reason = Item("reported", "profile", NO_BREAKDOWN, str(error))
    evidence = msgspec.structs.replace(evidence, items=(*evidence.items, reason))
    return line_of(job, status="ok", labels=(NO_BREAKDOWN,), evidence=evidence)


def _roofline(job: Job, manifest: Manifest) -> Roofline | None:
    """Return what this machine can reach; None without torch, which measures it."""
    try:
        return roofline(job.cell.threads, "int8" if manifest.quantized else manifest.precision)
    except Unavailable:
        return None


def _times(found: Breakdown) -> tuple[Measurement, ...]:
    return tuple(Measurement(STAGE, "s", (row.time_s,), row.name) for row in found.rows)


def _profile(session: Session, inputs: list[Inputs], job: Job) -> Profile:
    """Return the profile of warm calls; what the model's own code raises is told as that."""
    if not hasattr(session, "profile"):
        raise Unsupported(f"{job.cell.runtime}: its sessions have no profile(inputs, calls)")
    try:
        calls = _calls(session, inputs, job.inspect)
        return session.profile(inputs[:calls], calls)
    except (PerfsuiteError, MemoryError):
        raise
    except Exception as error:
        raise BuildError(
            f"a call failed while it was profiled with {type(error).__name__}: {error}"
        ) from error


def _calls(session: Session, inputs: list[Inputs], settings: Inspect) -> int:
    """Return how many calls to profile, after half as long a warm-up."""
    clock = session.clock or time.perf_counter_ns
    start, done = clock(), 0
    while True:
        session.run(inputs[done % len(inputs)])
        done += 1
        spent_s = (clock() - start) / 1e9
        if spent_s >= settings.seconds / 2 or done == MOST_CALLS:
            break
    fitting = math.ceil(settings.seconds * done / spent_s) if spent_s > 0 else MOST_CALLS
    return max(settings.calls, min(fitting, MOST_CALLS))
