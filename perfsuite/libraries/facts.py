"""All that faults are looked for in."""

from __future__ import annotations

import msgspec

from perfsuite.domain.environment import Environment
from perfsuite.domain.record import Evidence


class Facts(msgspec.Struct, frozen=True):
    """What ran in one process, and where.

    `runtime` is empty for what is known of the machine alone. `threads` is how many were asked for,
    0 where nobody asked.
    """

    evidence: Evidence
    environment: Environment
    runtime: str = ""
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0
    rounds_to_8_bits: bool = False
