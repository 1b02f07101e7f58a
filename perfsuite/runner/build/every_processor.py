"""Artifacts that are the same for every processor, and have one key on all of them."""

from __future__ import annotations

from collections.abc import Iterable

from perfsuite.domain.device import PROCESSOR, DeviceIdentity
from perfsuite.domain.runtime import Runtime
from perfsuite.runner.build.capabilities import identity_of
from perfsuite.runner.build.steps import Step, steps_of
from perfsuite.runner.job import Job
from perfsuite.runtimes.table import RUNTIMES

_EVERY = "every processor"


def device_key(job: Job, steps: Iterable[Step], identity: DeviceIdentity) -> str:
    """Return, as text, all that the artifact of a cell owes to its device.

    It is the same on every processor where a pass says so of its result. What perfsuite's own
    runtimes write for a processor follows from the graph alone; what a user's does is not known.
    """
    says_so = any(getattr(step.pass_, "for_every_processor", False) for step in steps)
    if says_so and job.cell.device == PROCESSOR and job.runtime in RUNTIMES:
        return _EVERY
    return identity.key


def answered_on(job: Job, runtime: Runtime) -> tuple[str, ...]:
    """Return what keys of answers hold of the device that gave them, beside the artifact's key.

    It is nothing where that key tells the device, too. Elsewhere another processor must answer by
    itself, or nobody would know that it answers alike.
    """
    if not job.recipe.passes or job.recipe.shipped is not None:
        return ()
    identity = identity_of(runtime, job.cell.device)
    tells = device_key(job, steps_of(job, runtime), identity) == identity.key
    return () if tells else (identity.key,)
