"""Whether a suite asks for more than its machine can see, which is known before it runs."""

from __future__ import annotations

from perfsuite.domain.judgement import NotVisible
from perfsuite.domain.metrics import LATENCY, METRICS
from perfsuite.domain.record import Header


def not_visible(header: Header) -> list[NotVisible]:
    """Return a caution for each limit on a change that this machine cannot see.

    It is asked of the certificate what as many rounds as the suite may have find in 80 % of gates.
    Quick runs have a caution of their own.
    """
    certificate, rounds = header.certificate, header.suite.processes
    if certificate is None or header.quick or not certificate.visible:
        return []
    seen = (certificate.visible_in(rounds) or certificate.visible[0]).in_80
    limits = {
        one.name: one.max_increase
        for one in header.suite.budgets
        # Not to be slower than another cell is no question of noise, if that is much slower.
        if one.metric == LATENCY and one.max_increase is not None
        if one.max_increase or one.baseline
    }
    floor = METRICS[LATENCY].floor
    if header.baseline and floor:
        limits["regression"] = floor
    return [
        NotVisible(name, limit, seen, rounds, certificate.created_at[:10])
        for name, limit in limits.items()
        if seen is None or limit < seen
    ]
