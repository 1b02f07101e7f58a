"""Whether what ran is what the suite requires: else the cell fails, whatever its times are."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from perfsuite.config.requirements import instruction_sets_of
from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.instruction_sets import reaches
from perfsuite.domain.record import Evidence, Failure, Line
from perfsuite.domain.suite import Require
from perfsuite.errors import SilentFallback
from perfsuite.libraries.proof import proof
from perfsuite.processor import best_instruction_sets, read_processor
from perfsuite.runner.job import Job


def held_to(job: Job, line: Line) -> Line:
    """Return the inspect job's line, failed if its evidence does not show what is required.

    It keeps the evidence, from which the report says what ran instead. Nothing is required of what
    a baseline has built.
    """
    if line.evidence is None or job.baseline:
        return line
    said = ". Also: ".join(_shortfalls(job, line.evidence))
    if not said:
        return line
    failure = Failure(SilentFallback.__name__, f"{job.cell.runtime} on {job.cell.device}: {said}")
    return msgspec.structs.replace(line, status="failed", error=failure)


def _shortfalls(job: Job, evidence: Evidence) -> Iterator[str]:
    for require in job.require:
        found = proof(require, evidence)
        if not found.holds:
            why = f" ({require.reason})" if require.reason else ""
            fix = _fix(require, job, evidence)
            yield f"{require.what} is required{why}, and {found.text}; {fix}"


def _fix(require: Require, job: Job, evidence: Evidence) -> str:
    """Return how to mend it: what a finding says of that library, or where to look."""
    if (limit := _processors_limit(require, job)) and require.instruction_set:
        return limit
    for finding in evidence.findings:
        if finding.about == require.library:
            return finding.fix
    cell = job.cell
    look = f"`perfsuite doctor {cell.workload} --runtime {cell.runtime} --recipe {cell.recipe}`"
    there = {item.name for item in evidence.items if item.about in ("library", "version")}
    if require.library and require.library not in there:
        return (
            f"{require.library} is not in this process: let `runtime` in that [[require]] name "
            f"those that use it, or install a build of {cell.runtime} that does"
        )
    return f"{look} tells which kernel computes each layer, what is wrong, and how to mend it"


def _processors_limit(require: Require, job: Job) -> str:
    """Return that the processor itself lacks an instruction set; '' if it has it."""
    if job.cell.device != PROCESSOR:
        return ""
    features = read_processor().features
    if any(reaches(one, require.instruction_set) for one in instruction_sets_of(features)):
        return ""
    best = ", ".join(best_instruction_sets(features)) or "none that is known"
    return f"this processor lacks it (its best: {best}): run the suite on one that has it"
