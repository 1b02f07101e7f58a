"""What a machine can see, found by measuring changes of known size on it."""

from __future__ import annotations

import msgspec

from perfsuite.domain.environment import MustMatch
from perfsuite.domain.looks import Looks
from perfsuite.domain.verdict import Interval

CERTIFICATE_SCHEMA = 1


class KnownChange(msgspec.Struct, frozen=True):
    """A change of a known size, 0.05 for 5 % slower, and what all rounds together make of it."""

    effect: float
    found: Interval


class CertifiedCell(msgspec.Struct, frozen=True):
    """One cell that was measured beside itself, slowed down by known amounts.

    `spread` is the standard deviation of one round's log ratio of the cell to itself.
    """

    cell: str  # its key
    spread: float
    changes: tuple[KnownChange, ...]


class Power(msgspec.Struct, frozen=True):
    """The share of changes of one size that a gate finds."""

    effect: float
    found: Interval


class Visible(msgspec.Struct, frozen=True):
    """The smallest changes that are found by at most so many rounds, in 80 % and 95 % of gates.

    A round of one cell beside its baseline takes `Certificate.round_s`. None: not even the largest
    change that was tried.
    """

    rounds: int
    in_80: float | None
    in_95: float | None


class Certificate(msgspec.Struct, frozen=True):
    """What gates on a machine find, and how often they cry wolf, by changes of known size.

    `false_alarms` is the share of changes of nothing that come out red, `coverage` the share of
    95 % intervals that hold the known ratio. `between_runs` is the standard deviation of the log
    latency of the same thing from one run to the next, beyond what the processes of a run show;
    None if there were too few rounds to tell.
    """

    schema: int
    created_at: str  # ISO 8601, UTC
    perfsuite: str  # the version that made it
    machine: MustMatch
    suite: str  # the name of the suite whose cells were measured
    quick: bool
    looks: Looks  # the plan of a gate
    rounds: int  # that were measured
    round_s: float  # of one cell beside its baseline, with the start of both processes
    spread: float  # the standard deviation of one round's log ratio, over all cells
    between_runs: float | None
    false_alarms: Interval
    coverage: Interval
    power: tuple[Power, ...]
    visible: tuple[Visible, ...]  # by rounds
    cells: tuple[CertifiedCell, ...]

    def sees(self, effect: float) -> bool:
        """Return whether changes of this size, which was measured, are found in 80 % of gates."""
        return any(one.effect == effect and one.found.value >= 0.8 for one in self.power)

    def visible_in(self, rounds: int) -> Visible | None:
        """Return what is found by at most `rounds` rounds; None for fewer than were tried."""
        return max(
            (one for one in self.visible if one.rounds <= rounds),
            key=lambda one: one.rounds,
            default=None,
        )
