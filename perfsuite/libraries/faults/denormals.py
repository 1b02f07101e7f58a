"""Models that are slowed by denormal numbers: those below 1.2e-38 take many times as long."""

from __future__ import annotations

import re
from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts

# Of all values, from where on they cost more than can be measured.
_SLOW = 0.01
# Settings by which an engine takes them for zero.
_FLUSHED = ("flush denormals", "session.set_denormal_as_zero", "DENORMALS_OPTIMIZATION")
_COUNTED = re.compile(r"(\d+) of (\d+)")


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield that many values are denormal: a fault of many in all, a caution of many in a layer."""
    settings = facts.said("setting")
    if any(settings.get(name) == "on" for name in _FLUSHED):
        return
    found = [
        (item, shares)
        for item in facts.evidence.items
        if (shares := _shares(item.about, item.value))
    ]
    slow = [(item, shares) for item, shares in found if max(shares) >= _SLOW]
    if not slow:
        return
    yield Finding(
        "denormals",
        facts.runtime or "machine",
        "the model computes with denormal numbers (below 1.2e-38), which may take a processor many "
        f"times as long: {'; '.join(f'of its {item.name} {item.value}' for item, _ in slow)}",
        "set such weights to zero (w[w.abs() < 1e-30] = 0); or torch.set_flush_denormal(True), on "
        "ONNX Runtime the session's setting session.set_denormal_as_zero = 1, on OpenVINO "
        "CPU_DENORMALS_OPTIMIZATION",
        slow[0][0].how,
        "fault" if any(shares[0] >= _SLOW for _, shares in slow) else "caution",
    )


def _shares(about: str, value: str) -> list[float]:
    """Return which part of all values is denormal, and which of the worst layer's, if told."""
    if about != "denormals":
        return []
    return [int(some) / int(of) for some, of in _COUNTED.findall(value) if int(of)]
