"""What each library is worth, in words."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.verdict import Interval
from perfsuite.judge.ablation import Worth, worth_most
from perfsuite.report import words

NOTHING_SEEN = "nothing seen"


def worth_sentence(found: Sequence[Worth]) -> str:
    """Return in one sentence which library is worth most."""
    if not any(one.ratio for one in found):
        return "Nothing was measured that would tell what a library is worth."
    most = worth_most(found)
    if not most:
        return "No library was proven to be worth anything here."
    first, *others = most
    said = f"{first.library} is worth most here: {_longer(first)}."
    if not others:
        return said
    named = " and ".join(f"{one.library} ({one.title}: {_ratio(one)})" for one in others)
    return f"{said} It cannot be told from {named}."


def better_sentences(found: Sequence[Worth]) -> list[str]:
    """Return a sentence for each switch with which calls are proven to take less time."""
    return [
        f"{one.runtime} is faster with {_what(one)}: a call takes {_ratio(one)} times as long."
        for one in found
        if one.is_better_without
    ]


def seen_text(one: Worth) -> str:
    """Return what the evidence says of a switch: what ran without it and with it."""
    if one.seen is None:
        return "" if one.ratio is None else "the evidence does not tell"
    if one.seen:
        return f"{one.before} -> {one.after}"
    return f"{one.library} is {one.before} here" if one.before else "nothing else ran"


def note(one: Worth) -> str:
    """Return what follows for one switch."""
    if one.reason:
        return one.reason
    if one.ratio is None:
        return "too few processes to tell"
    if one.ratio.low <= 1.0 <= one.ratio.high:
        return NOTHING_SEEN if one.seen else f"{NOTHING_SEEN}: it has no effect here"
    if one.seen is False:
        return "not seen to act: a difference of the machine, not of the library"
    return "faster so" if one.is_better_without else ""


def ratio_text(ratio: Interval) -> str:
    """Return `3.12 (2.98 to 3.27)`, or that it is noise."""
    if words.is_noise(ratio):
        return words.NOISE
    return words.number(ratio.value) + words.spread(ratio, words.number)


def _ratio(one: Worth) -> str:
    return "" if one.ratio is None else ratio_text(one.ratio)


def _longer(one: Worth) -> str:
    return f"with {_what(one)}, {one.runtime} takes {_ratio(one)} times as long"


def _what(one: Worth) -> str:
    return one.title if one.library == "threads" else f"{one.library} {one.title}"
