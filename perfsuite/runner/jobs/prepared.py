"""The line of a cell whose artifact lies in the cache, from the facts beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perfsuite.domain.record import Line, Measurement
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import Job, line_of


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
