"""What a certificate says, in tables."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.certificate import Certificate, KnownChange
from perfsuite.report import words

SPREAD = "spread"  # of one round
POWER_COLUMNS = ("slower by", "found in so many gates")
VISIBLE_COLUMNS = ("rounds at most", "time of a cell", "seen in 80 %", "seen in 95 %")


def cell_columns(certificate: Certificate) -> tuple[str, ...]:
    """Return the columns of the table of cells: one for each known change."""
    effects = certificate.cells[0].changes
    return ("cell", SPREAD, *(_slower(one.effect) for one in effects))


def cell_lines(certificate: Certificate) -> Iterator[tuple[str, ...]]:
    """Yield what was found of each known change, by cell."""
    for one in certificate.cells:
        yield (one.cell, words.percent(one.spread), *map(_found, one.changes))


def power_lines(certificate: Certificate) -> Iterator[tuple[str, str]]:
    """Yield the share of changes of each size that gates find."""
    for one in certificate.power:
        around = words.spread(one.found, words.percent)
        yield (words.percent(one.effect), f"{words.percent(one.found.value)}{around}")


def visible_lines(certificate: Certificate) -> Iterator[tuple[str, str, str, str]]:
    """Yield the smallest changes that are found by so many rounds, and how long these take."""
    for one in certificate.visible:
        time = f"{words.number(one.rounds * certificate.round_s / 60.0)} min"
        yield (str(one.rounds), time, _seen(one.in_80), _seen(one.in_95))


def _slower(effect: float) -> str:
    return f"{words.signed_percent(effect)}" if effect else "unchanged"


def _found(change: KnownChange) -> str:
    low, high = (words.points(100.0 * end) for end in (change.found.low, change.found.high))
    around = "" if low == high else f" ({low} to {high})"
    return f"{words.signed_percent(change.found.value)}{around}"


def _seen(effect: float | None) -> str:
    return "none" if effect is None else words.percent(effect)
