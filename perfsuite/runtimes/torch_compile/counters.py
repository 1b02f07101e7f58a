"""What the compiler counts in this process: graphs, breaks, and whether its cache had them."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

_FOUND = (("aot_autograd", "autograd_cache_hit"), ("inductor", "fxgraph_cache_hit"))
_MISSED = ("fxgraph_cache_miss", "fxgraph_cache_bypass")


class Counted(NamedTuple):
    """What was counted since some moment: graphs, those that a cache had, those compiled anew."""

    graphs: int
    found: int
    missed: int
    breaks: dict[str, int]


def counters() -> Counter[tuple[str, str]]:
    """Return all counters of the compiler, as they are now."""
    from torch._dynamo.utils import counters as counted

    return Counter(
        {(group, name): number for group, some in counted.items() for name, number in some.items()}
    )


def since(before: Counter[tuple[str, str]]) -> Counted:
    """Return what has been counted since `before`."""
    now = counters()
    now.subtract(before)
    breaks = {
        _reason(name): number
        for (group, name), number in now.items()
        if group == "graph_break" and number > 0
    }
    return Counted(
        graphs=now["stats", "unique_graphs"],
        found=max(now[key] for key in _FOUND),
        missed=sum(now["inductor", name] for name in _MISSED),
        breaks=breaks,
    )


def _reason(text: str) -> str:
    """Return the first line of a reason: further ones explain it at length."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no reason told"
