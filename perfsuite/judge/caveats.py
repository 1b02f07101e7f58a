"""Why a run as a whole deserves less belief, whatever was measured in it."""

from __future__ import annotations

import math

from perfsuite.domain.environment import MustMatch
from perfsuite.domain.record import Run

QUICK = "--quick measured too little to be believed: for a first look alone"


def caveats(run: Run) -> list[str]:
    """Return a warning for a quick run, and one for cells with more threads than cores."""
    found = [QUICK] if run.header.quick else []
    cores = _cores(run.header.environment.must_match)
    most = max((cell.threads for cell in run.header.cells), default=0)
    if most > cores:
        found.append(
            f"threads = {most}, but only {cores} could run at once on this machine: threads that "
            f"wait for each other are slow, and their times spread"
        )
    return found


def _cores(machine: MustMatch) -> int:
    if machine.quota_cores is None:
        return machine.usable_cores
    return max(1, min(machine.usable_cores, math.ceil(machine.quota_cores)))
