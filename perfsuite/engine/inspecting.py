"""The inspect job: what really ran, with everything switched on that makes an engine talk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perfsuite.domain.record import Line
from perfsuite.engine import artifacts
from perfsuite.engine.jobs import Job
from perfsuite.engine.measuring import rebuilder
from perfsuite.engine.process import line_of
from perfsuite.libraries.table import loaded
from perfsuite.runtimes.evidence import check_precision

CALLS = 3  # the first builds kernels; the others show which of them run


def inspect(job: Job) -> Line:
    """Return the line with the evidence; `SilentFallback` where it is not what was asked for."""
    folder = Path(job.artifact)
    manifest = artifacts.read_manifest(folder)
    inputs = artifacts.read_inputs(folder)
    runtime = artifacts.load_runtime(job.runtime)
    opening = artifacts.opening(job.cell, rebuilder(job), inspect=True)
    with runtime.open(folder, manifest, opening) as session:
        for index in range(CALLS):
            session.run(inputs[index % len(inputs)])
        evidence = session.evidence()
        libraries = loaded()
    check_precision(evidence, manifest)
    evidence = msgspec.structs.replace(evidence, items=(*evidence.items, *libraries))
    return line_of(job, status="ok", evidence=evidence)
