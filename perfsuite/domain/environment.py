"""The machine and the versions that a run was made with."""

from __future__ import annotations

import msgspec


class MustMatch(msgspec.Struct, frozen=True):
    """What must be equal for absolute times to be comparable."""

    processor: str  # vendor and model name
    family: int
    model: int
    stepping: int
    flags: tuple[str, ...]
    caches_bytes: dict[str, int]  # such as {"L1d": 32768, "L2": 1048576, "L3": 33554432}
    usable_cores: int  # by affinity
    quota_cores: float | None  # of the container, None without one
    card: str = ""


class Environment(msgspec.Struct, frozen=True):
    """The machine and the versions of a run.

    Runs whose `subject` (versions) differs may be compared, because an upgrade is what people gate.
    `context` is for people only.
    """

    must_match: MustMatch
    subject: dict[str, str]
    context: dict[str, str]
