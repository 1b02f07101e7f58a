"""Where a run was made, every field typed."""

from __future__ import annotations

import msgspec


class MustMatch(msgspec.Struct, frozen=True):
    """Without these equal, absolute times are not comparable."""

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
    """`subject` (versions) may differ: an upgrade is what people gate. `context` is the rest."""

    must_match: MustMatch
    subject: dict[str, str]
    context: dict[str, str]
