"""The inspect job: the evidence of what ran and the breakdown of its time, by a verbose engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import msgspec

from perfsuite.domain.metrics import STAGE
from perfsuite.domain.profile import Breakdown, Profile, Roofline
from perfsuite.domain.record import (
    IN_FLOAT,
    MAY_OVERFLOW,
    NO_BREAKDOWN,
    SIMULATED,
    Evidence,
    EvidenceItem,
    Line,
    Measurement,
)
from perfsuite.domain.runtime import Manifest, Runtime, Session
from perfsuite.domain.suite import Inspect
from perfsuite.domain.task import Inputs
from perfsuite.errors import PerfsuiteError, Unavailable, Unsupported
from perfsuite.libraries.facts import Facts
from perfsuite.libraries.faults.instruction_sets import INT8_WITHOUT_VNNI
from perfsuite.libraries.findings import findings
from perfsuite.libraries.table import loaded
from perfsuite.libraries.used import used_items
from perfsuite.measure.environment import environment
from perfsuite.measure.int8_share import float_shares, int8_share
from perfsuite.measure.joined_profile import joined
from perfsuite.measure.kernels import mean_times
from perfsuite.measure.latency import Turns, timed_run
from perfsuite.measure.roofline import Reached, reached, roofline, roofline_of
from perfsuite.measure.stages import breakdown
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.capabilities import identity_of
from perfsuite.runner.build.kernels import has_binary
from perfsuite.runner.job import PROFILES, Job, line_of
from perfsuite.runner.jobs.measure import rebuilder
from perfsuite.runner.jobs.requirements import held_to
from perfsuite.runner.jobs.vnni import with_vnni
from perfsuite.runtimes.shared.binary_layers import BINARY_IN_FLOAT, in_float
from perfsuite.runtimes.shared.precision import check_precision, computed_in_float
from perfsuite.user_code import require_type, user_code

CALLS = 3  # the first builds kernels; the others show which run
MOST_CALLS = 100  # more would only take time to read


def inspect(job: Job, turns: Turns | None = None) -> Line:
    """Return the line with the evidence and the breakdown of a profiled call.

    With `turns` as many calls are profiled in each turn of this process. The line is a failed one
    if the evidence does not show what the suite requires.

    Raises `SilentFallback` if the evidence contradicts what was asked for. If the engine cannot be
    profiled, there is no breakdown: the line has a label, and the reason as an item of evidence.
    """
    return held_to(job, _inspected(job, turns))


def _inspected(job: Job, turns: Turns | None) -> Line:
    folder = Path(job.artifact)
    manifest = artifacts.read_manifest(folder)
    inputs = artifacts.read_inputs(folder)
    parts = artifacts.read_parts(folder)
    runtime = artifacts.load_runtime(job.runtime)
    options = artifacts.options(job, rebuilder(job), inspect=True, spans=parts.spans)
    opened = partial(artifacts.open_session, runtime, folder, manifest)
    with opened(options) as session:
        with user_code(f"{job.cell.key}: a call"):
            for index in range(CALLS):
                session.run(inputs[index % len(inputs)])
        evidence = _evidence(session, job)
        libraries = loaded()
        if job.switch is None:  # else it is no silent fallback, but what was to be found out
            check_precision(evidence, manifest)
            if has_binary(runtime) and (told := in_float(evidence, parts.nodes, runtime.name)):
                evidence = msgspec.structs.replace(evidence, findings=(*evidence.findings, told))
        evidence = _with(evidence, *libraries)
        if manifest.rounds_to_8_bits:
            evidence = with_vnni(evidence, runtime, job.cell)
        evidence = _judged(_with(evidence, *used_items(evidence)), job, manifest)
        try:
            plain = partial(opened, replace(options, inspect=False))
            profile, untraced_s = _profile(session, plain, inputs, job, turns)
            found = _beside(breakdown(profile, parts.nodes, parts.stages), profile, untraced_s)
        except Unsupported as error:
            return _without(job, evidence, _labels(evidence, manifest), error)
    rounds = manifest.rounds_to_8_bits
    roofs: Roofline | None = None
    if job.inspect.roofline and turns is None:  # else others are profiled beside
        try:
            roofs = _roofline(job, manifest, runtime, reached(found))
        except PerfsuiteError as error:  # the breakdown stands without it
            evidence = _with(evidence, EvidenceItem("reported", "roofline", "none", str(error)))
    return line_of(
        job,
        status="ok",
        labels=_labels(evidence, manifest),
        evidence=evidence,
        breakdown=found,
        roofline=roofs,
        int8_share=int8_share(profile, parts.nodes) if rounds else None,
        float_shares=float_shares(profile, parts.nodes) if rounds else {},
        measurements=_times(found),
    )


def _evidence(session: Session, job: Job) -> Evidence:
    whose = f"{job.cell.runtime}: its evidence()"
    with user_code(whose):
        found = session.evidence()
    return require_type(found, Evidence, whose, "perfsuite.Evidence")


def _judged(evidence: Evidence, job: Job, manifest: Manifest) -> Evidence:
    """Return the evidence with what is wrong, unless a library is turned off on purpose."""
    if job.cell.switch:
        return evidence
    cell = job.cell
    facts = Facts(
        evidence,
        environment(),
        cell.runtime,
        cell.device,
        cell.precision,
        cell.threads,
        manifest.rounds_to_8_bits and not computed_in_float(evidence, manifest),
        manifest.portable,
        already="int8" in manifest.own_precisions,
    )
    found = (*evidence.findings, *findings(facts))
    return msgspec.structs.replace(evidence, findings=found)


def _labels(evidence: Evidence, manifest: Manifest) -> tuple[str, ...]:
    simulated = any(one.name == BINARY_IN_FLOAT for one in evidence.findings)
    overflows = "int8" in manifest.own_precisions and any(
        one.name == INT8_WITHOUT_VNNI and one.severity == "fault" for one in evidence.findings
    )
    return (
        *((IN_FLOAT,) if computed_in_float(evidence, manifest) else ()),
        *((SIMULATED,) if simulated else ()),
        *((MAY_OVERFLOW,) if overflows else ()),
    )


def _without(job: Job, evidence: Evidence, labels: tuple[str, ...], error: Unsupported) -> Line:
    reason = EvidenceItem("reported", "profile", NO_BREAKDOWN, str(error))
    evidence = _with(evidence, reason)
    return line_of(job, status="ok", labels=(NO_BREAKDOWN, *labels), evidence=evidence)


def _with(evidence: Evidence, *items: EvidenceItem) -> Evidence:
    return msgspec.structs.replace(evidence, items=(*evidence.items, *items))


def _roofline(job: Job, manifest: Manifest, runtime: Runtime, seen: Reached) -> Roofline:
    """Return what the device can reach, which is doubted where more was `seen`.

    Raises `Unavailable` where nothing measures it: torch does for the processor, and the runtime's
    own `roofline` for any other device.
    """
    precision = "int8" if manifest.rounds_to_8_bits else manifest.precision
    device = identity_of(runtime, job.cell.device)
    if device.is_processor:
        return roofline(job.cell.threads, precision, seen)
    measure = getattr(runtime, "roofline", None)
    if measure is None:
        raise Unavailable(
            f"{runtime.name} measures no roofline of {device}; give it a method "
            f"roofline(device, precision) that returns a perfsuite.domain.profile.Roofline"
        )
    return roofline_of(device, precision, lambda: measure(job.cell.device, precision), seen)


def _times(found: Breakdown) -> tuple[Measurement, ...]:
    return tuple(Measurement(STAGE, "s", (row.time_s,), row.name) for row in found.rows)


def _profile(
    session: Session,
    plain: Callable[[], AbstractContextManager[Session]],
    inputs: list[Inputs],
    job: Job,
    turns: Turns | None,
) -> tuple[Profile, list[float]]:
    """Return the profile of warm calls, and the seconds of as many that are not profiled.

    For the latter, `plain` opens a session without inspection, which is warmed up as a profile is,
    by a call with each input. With `turns` the calls are shared out among `PROFILES` turns. An
    error of the model's own code is raised as such.
    """
    if not hasattr(session, "profile"):
        raise Unsupported(f"{job.cell.runtime}: its sessions have no profile(inputs, calls)")
    with user_code(f"{job.cell.key}: a call that was profiled"):
        calls = _calls(session, inputs, job.inspect)
        given = inputs[:calls]
        with plain() as untraced:
            _timed(untraced, given, range(len(given)))
            if turns is None:
                return _piece(session, untraced, given, calls, job)
            taken: list[tuple[Profile, list[float]]] = []
            while (turn := turns.wait(len(taken), 0)) != "end":
                if turn == "forget":
                    taken.pop()
                else:
                    share = math.ceil(calls / PROFILES)
                    taken.append(_piece(session, untraced, given, share, job))
    profiles, walls_s = zip(*taken, strict=True)
    return joined(profiles), [one for some in walls_s for one in some]


def _piece(
    session: Session, untraced: Session, given: Sequence[Inputs], calls: int, job: Job
) -> tuple[Profile, list[float]]:
    """Return the profile of so many calls, and the seconds of as many that are not profiled.

    Half of those are made before the profile and half after, so that a drift of the machine affects
    both alike.
    """
    half = calls // 2
    before = _timed(untraced, given, range(half))
    whose = f"{job.cell.key}: a call that was profiled"
    profile = require_type(session.profile(given, calls), Profile, whose, "a Profile")
    _timed(untraced, given, range(1))  # the profile has replaced the caches' contents
    return profile, before + _timed(untraced, given, range(half, calls))


def _timed(session: Session, inputs: Sequence[Inputs], calls: range) -> list[float]:
    """Return the seconds that each of `calls` takes, which rotate over `inputs`."""
    clock = session.clock or time.perf_counter_ns
    walls_s = []
    for index in calls:
        run, give = timed_run(session)
        entry = give(inputs[index % len(inputs)])
        begin_ns = clock()
        run(entry)
        walls_s.append((clock() - begin_ns) / 1e9)
    return walls_s


def _beside(found: Breakdown, profile: Profile, walls_s: Sequence[float]) -> Breakdown:
    """Return `found` with the mean time of as many calls that were not profiled.

    As for profiled calls, it is the mean over the calls within the quartiles, or over all calls if
    the engine reports only means.
    """
    if len(profile.walls_s) == 1:
        return msgspec.structs.replace(found, calls=len(walls_s), untraced_s=fmean(walls_s))
    usual = mean_times(Profile(tuple(walls_s), ()))
    return msgspec.structs.replace(found, untraced_s=usual.total_s)


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
