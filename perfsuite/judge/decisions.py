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

# The tolerance for rounding, because limits are decimal numbers and ratios come from logarithms.
SLACK = 1e-9

# An undecided change is green if it is surely within as many floors: with less, nothing was seen.
_SURELY_WITHIN = 2.0

RED: frozenset[VerdictStatus] = frozenset({"regressed", "over_budget"})


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
    return change_decided(estimate, floor) or _undecided(estimate, floor)


def _undecided(estimate: Interval, floor: float) -> VerdictStatus:
    within = estimate.value <= floor + SLACK and estimate.high <= _SURELY_WITHIN * floor + SLACK
    return "pass" if within else "inconclusive"


def stored_verdict(estimate: Interval, sure: Interval, floor: float) -> VerdictStatus:
    """Return what is said of a change between two stored runs.

    Both intervals hold what differs between runs of the same thing; it is the `sure` one, of 3.29
    standard deviations of that, which must exclude nothing before a change is red.
    """
    if change_decided(estimate, floor) == "regressed" and sure.low <= SLACK:
        return _undecided(estimate, floor)
    return change_verdict(estimate, floor)


def loss_verdict(estimate: Interval, floor: float) -> VerdictStatus:
    """Return what is said of an accuracy, of which `estimate` was lost.

    How wide its interval is follows from the number of samples alone, and a few samples must not
    keep unchanged answers from being green: what is lost must exceed the floor, and be sure.
    """
    if estimate.value <= floor + SLACK:
        return "pass"
    return "regressed" if estimate.low > SLACK else "inconclusive"


def believed(first: VerdictStatus, again: VerdictStatus) -> VerdictStatus:
    """Return the verdict on a change of which a red verdict was measured a second time.

    `again` is the verdict of the second measurement alone, of fresh rounds that are looked at by
    the same plan from the beginning. Red must be found twice; else what the second one says holds.
    """
    return again if first in RED else first


def decide(estimate: Interval, limit: float, *, at_least: bool) -> VerdictStatus:
    """Return `pass` if the interval's bad end is within the limit, `over_budget` if its good end is
    beyond it, else `inconclusive`.

    With `at_least` the limit is a least value, else a greatest one.
    """
    slack = SLACK * max(1.0, abs(limit))
    bad, good = estimate.high - limit, estimate.low - limit
    if at_least:
        bad, good = limit - estimate.low, limit - estimate.high
    if bad <= slack:
        return "pass"
    return "over_budget" if good > slack else "inconclusive"


def pace_decided(speedup: Interval, floor: float) -> bool:
    """Return whether it is known that a variant is faster than its parent, or not by the floor.

    Faster is what surely is above 1. What surely gains less than the floor is not measured on to
    find out which side of 1 it is on.
    """
    return speedup.low > 1.0 or speedup.high < 1.0 + floor
