"""Sentences on what becomes of INT8 on other processors, and on what the portable form costs."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.elsewhere import Elsewhere, PortableCost
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge.across import elsewhere, portable_costs
from perfsuite.report import words

_HERE_ALREADY = (
    "This processor has no VNNI, or is none of x86: what is made here in 8 bits is right on x86 "
    "processors without VNNI as it is, and there is no other processor to try."
)


def across_sentence(run: Run) -> str:
    """Return, in one sentence, what becomes of INT8 that is made here; '' if nobody asked."""
    if run.header.suite.across is None:
        return ""
    found = elsewhere(run)
    if not found:
        return _HERE_ALREADY
    tried = [one for one in found if one.lost is not None and not one.is_portable]
    if not tried:
        return "What becomes of it on processors without VNNI is not known."
    worst = max(tried, key=lambda one: (one.loses, one.lost.value if one.lost else 0.0))
    return f"{_outcome(worst)}{_instead(worst, found, run)}."


def cost_sentences(run: Run) -> list[str]:
    """Return what the portable form costs here, a sentence for each runtime."""
    return [text for one in portable_costs(run) if (text := _cost(one))]


def problem_sentences(run: Run) -> list[str]:
    """Return why something is not known, each reason once."""
    found = elsewhere(run)
    reasons = dict.fromkeys(one.reason for one in found if one.reason)
    return [f"Not known of {_named(found, reason)}: {reason}." for reason in reasons]


def _outcome(one: Elsewhere) -> str:
    lost = one.lost
    assert lost is not None
    points = f"{words.points(lost.value)} points of {one.metric}"
    around = words.spread(lost, words.points)
    place = f"on processors whose best is {one.where} ({one.runtime}, {one.by})"
    what = f"{one.recipe} that is made here"
    if one.loses:
        return f"{what} loses {points}{around} {place}"
    if lost.low == lost.high == 0.0:
        return f"{what} answers {place} as here: nothing is lost"
    return f"that {what} loses anything {place} is not proven: {points}{around}"


def _instead(worst: Elsewhere, found: Sequence[Elsewhere], run: Run) -> str:
    """Return how the portable form fares where the other one loses most, if that is known."""
    alike = (
        one
        for one in found
        if one.is_portable and (one.runtime, one.where) == (worst.runtime, worst.where)
    )
    portable = next((one for one in alike if one.lost is not None), None)
    if not worst.loses or portable is None or portable.lost is None:
        return ""
    lost = portable.lost
    text = f"{words.points(lost.value)}{words.spread(lost, words.points)}"
    cost = next((one for one in portable_costs(run) if one.runtime == worst.runtime), None)
    if cost is None or cost.time is None:
        return f"; in the portable form it loses {text} there"
    times = words.times(cost.time.value)
    return f"; in the portable form it loses {text} there, and takes {times} the time here"


def _cost(one: PortableCost) -> str:
    parts = []
    if one.time is not None:
        around = words.spread(one.time, words.number)
        parts.append(f"takes {words.times(one.time.value)}{around} the time")
    if one.lost is not None:
        parts.append(_changed(one.lost))
    said = " and ".join(parts)
    return said and f"{one.recipe} on {one.runtime} {said} against the other form here."


def _changed(lost: Interval) -> str:
    if lost.value >= 0.0:
        return f"loses {words.points(lost.value)} points{words.spread(lost, words.points)}"
    around = words.spread(lost, words.points).replace("(", "(a loss of ", 1)
    return f"gains {words.points(-lost.value)} points{around}"


def _named(found: Sequence[Elsewhere], reason: str) -> str:
    return ", ".join(one.cell for one in found if one.reason == reason)
