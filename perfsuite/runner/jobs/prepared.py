"""The line of a cell whose artifact lies in the cache, from the facts beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from perfsuite.domain.record import Evidence, Failure, Line, Measurement
from perfsuite.domain.runtime import Runtime
from perfsuite.errors import Unavailable
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job, line_of
from perfsuite.runtimes.split.session import described, is_split
from perfsuite.user_code import require_type, user_code


def prepared_line(
    job: Job,
    folder: Path,
    key: str,
    *,
    made: bool,
    labels: tuple[str, ...],
    made_up: bool,
    model: str = "",
) -> Line:
    """Return the line of a prepare job that found or made the artifact `key` in `folder`.

    `labels` come before those that were found out with the artifact; `made_up` tells that the
    timed inputs are, and `model` is the digest of the model's bytes, if they were read.
    """
    facts = artifacts.read_facts(folder)
    counted = [("parameters", "1", facts.parameters), ("macs", "1", facts.macs)]
    measurements = [
        Measurement("build_s", "s", (facts.build_s,)),
        Measurement("artifact_bytes", "B", (float(artifacts.size_bytes(folder)),)),
        *(Measurement(name, unit, (float(n),)) for name, unit, n in counted if n is not None),
    ]
    line = line_of(
        job,
        status="ok",
        cached=not made,
        labels=(*labels, *facts.labels),
        measurements=tuple(measurements),
        parity=dict(facts.parity),
        widths=facts.widths,
        replaced=facts.replaced,
        uncounted=facts.uncounted,
        likeness=facts.likeness,
        left=facts.left,
        input_shapes=facts.input_shapes,
        made_up=made_up,
    )
    return msgspec.structs.replace(line, artifact=key, model=model)


def built_only(line: Line, runtime: Runtime, job: Job, folder: Path) -> Line:
    """Return the line of a cell that is built and not run, as its device is not of this machine.

    It is `unavailable`, and tells what was built.
    """
    evidence = _described(runtime, folder)
    told = {one.metric: one.samples[0] for one in line.measurements}
    layers = [f"{one.name}: {one.value}" for one in evidence.items if one.about == "precision"]
    parts = [f"{told['artifact_bytes'] / 1e6:.1f} MB", f"{told['build_s']:.0f} s", *layers]
    device = job.cell.device
    why = (
        f"{runtime.name}: built for {device} ({'; '.join(parts)}), and not run; that takes a "
        f'machine with such a card, and devices = ["cuda"]'
    )
    failure = Failure(Unavailable.__name__, why)
    return msgspec.structs.replace(line, status="unavailable", error=failure, evidence=evidence)


def _described(runtime: Any, folder: Path) -> Evidence:
    """Return what the runtime says of what it has built: of the model, or of each of its pieces."""
    whose = f"{runtime.name}: its describe()"
    with user_code(whose):
        found = described(runtime, folder) if is_split(folder) else runtime.describe(folder)
    return require_type(found, Evidence, whose, "perfsuite.Evidence")
