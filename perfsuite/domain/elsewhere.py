"""What becomes of an INT8 artifact on other processors, and what its portable form costs."""

from __future__ import annotations

import msgspec

from perfsuite.domain.verdict import Interval


class Elsewhere(msgspec.Struct, frozen=True):
    """One artifact that answered the same samples here and as another processor would.

    `where` is the other processor's best instruction set, and `by` how it was had. `reason` says
    why nothing is known, if `status` is not `ok`; `no effect` is that of a process in which sums of
    bytes did not overflow, so that it tells nothing of processors in which they do. Accuracies are
    fractions, and `lost` are points: paired, with a 95 % interval.
    """

    cell: str  # the key
    artifact: str  # the key of the cell that answers here
    runtime: str
    recipe: str
    is_portable: bool
    where: str
    by: str
    status: str
    reason: str = ""
    metric: str = ""
    samples: int = 0
    here: float | None = None
    there: float | None = None
    lost: Interval | None = None

    @property
    def loses(self) -> bool:
        """Return whether it is proven that accuracy is lost there."""
        return self.lost is not None and self.lost.low > 0.0


class PortableCost(msgspec.Struct, frozen=True):
    """What the portable form costs on this machine, on one runtime.

    `time` is its latency over that of the other form, measured together, and `lost` are the points
    that it answers worse here, paired. None where that is not known.
    """

    runtime: str
    recipe: str  # the portable one
    time: Interval | None = None
    lost: Interval | None = None
