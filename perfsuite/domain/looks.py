"""When the rounds measured so far are looked at, to see whether more are needed."""

from __future__ import annotations

import msgspec


class Looks(msgspec.Struct, frozen=True):
    """The plan of a run whose number of rounds follows from what it measures.

    It is looked at after `first` rounds and after each further one, up to `most`. Intervals follow
    from the plan, which therefore is a part of the run: chosen after the fact, they would not hold.
    """

    first: int = 4
    most: int = 24

    def __post_init__(self) -> None:
        """Refuse a plan without a look, or with one at which nothing is known of the noise."""
        if not 2 <= self.first <= self.most:
            raise ValueError(
                f"the first look is after {self.first} rounds, the last after {self.most}; "
                f"the first needs 2 rounds or more, and the last at least as many as the first"
            )
