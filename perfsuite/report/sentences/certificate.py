"""Sentences on what a machine can see."""

from __future__ import annotations

from perfsuite.domain.certificate import Certificate, Visible
from perfsuite.domain.metrics import LATENCY, METRICS
from perfsuite.report import words

_FLOOR = METRICS[LATENCY].floor or 0.0


def certificate_sentence(certificate: Certificate) -> str:
    """Return what the machine sees at best, and since when that is known.

    Rounds that are not needed for the smallest change that a gate asks for are not told.
    """
    found = _enough(certificate)
    if found is None or found.in_80 is None:
        seen = "this machine sees no change that was tried"
    else:
        seen = f"this machine sees {words.percent(found.in_80)} in {found.rounds} rounds"
    quick = " (quick)" if certificate.quick else ""
    return f"{seen}; certified {certificate.created_at[:10]}{quick}"


def _enough(certificate: Certificate) -> Visible | None:
    seen = [one for one in certificate.visible if one.in_80 is not None]
    enough = (one for one in seen if one.in_80 is not None and one.in_80 <= _FLOOR)
    return next(enough, seen[-1] if seen else None)


def share_sentences(certificate: Certificate) -> list[str]:
    """Return how far gates and intervals may be trusted on the machine."""
    alarms, coverage = certificate.false_alarms, certificate.coverage
    between = certificate.between_runs
    return [
        f"false alarms: {words.percent(alarms.value)} of changes of nothing come out red"
        f"{words.spread(alarms, words.percent)}",
        f"coverage: {words.percent(coverage.value)} of 95 % intervals hold the known ratio"
        f"{words.spread(coverage, words.percent)}",
        "between runs: "
        + (
            "too few rounds to tell what differs from one run to the next"
            if between is None
            else f"latencies differ by {words.percent(between)} from one run to the next, beyond "
            f"what the processes of a run show"
        ),
    ]
