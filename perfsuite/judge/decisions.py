"""What an interval decides, and what is still open: then a further round is measured.

Of a change, the estimate is a share, 0.02 for 2 % worse, and the floor is the smallest change that
is worth finding. Two statements are tried, and each is refuted by one end of the interval: *nothing
became worse* by a low end above 0, *it became worse by more than the floor* by a high end below the
floor. So no change comes out green, and one of the floor or more red. Between the two either may
happen, and the noise decides only how many rounds it takes (an indifference zone, Wald 1947). To
demand an estimate above the floor instead would be to miss half of all changes of that size.
"""

from __future__ import annotations

from perfsuite.domain.verdict import Interval, VerdictStatus
from perfsuite.judge.budgets import SLACK, decide

# An undecided change is green if it is surely within as many floors: with less, nothing was seen.
_SURELY_WITHIN = 2.0


def change_decided(estimate: Interval, floor: float) -> VerdictStatus | None:
    """Return `pass` or `regressed`; None while the interval holds both nothing and the floor.

    What is surely within the floor passes, also if it is surely not nothing. What regressed has an
    estimate of about half the floor or more: its interval reaches from above 0 beyond the floor.
    """
    if estimate.high <= floor + SLACK:
        return "pass"
    return "regressed" if estimate.low > SLACK else None


def change_verdict(estimate: Interval, floor: float) -> VerdictStatus:
    """Return what is said when measuring has ended, whether or not that was decided.

    An undecided change passes if the estimate is within the floor and the interval within twice
    that; else it is `inconclusive`, since a machine that noisy would hide a change worth finding.
    """
    decided = change_decided(estimate, floor)
    if decided is not None:
        return decided
    within = estimate.value <= floor + SLACK and estimate.high <= _SURELY_WITHIN * floor + SLACK
    return "pass" if within else "inconclusive"


def believed(first: VerdictStatus, again: VerdictStatus) -> VerdictStatus:
    """Return the verdict on a change of which a red verdict was measured a second time.

    `again` is the verdict of the second measurement alone, of fresh rounds that are looked at by
    the same plan from the beginning. Red must be found twice; else what the second one says holds.
    """
    return again if first == "regressed" else first


def budget_decided(estimate: Interval, limit: float, *, at_least: bool) -> VerdictStatus | None:
    """Return `pass` or `over_budget`; None while the limit is within the interval."""
    status = decide(estimate, limit, at_least=at_least)
    return None if status == "inconclusive" else status


def pace_decided(speedup: Interval, floor: float) -> bool:
    """Return whether it is known that a variant is faster than its parent, or not by the floor.

    Faster is what surely is above 1. What surely gains less than the floor is not measured on to
    find out which side of 1 it is on.
    """
    return speedup.low > 1.0 or speedup.high < 1.0 + floor
