"""Which part of a model's arithmetic ran in 8 bits, by the kernels that ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perfsuite.domain.profile import Kernel, Node, Profile

# The first operand of such a kernel is float, and is rounded inside of it.
_ROUNDS_ITSELF = "DynamicQuantize"
# What is inside of these their own type does not tell: it is that of a condition, or of a state.
_CONTROL = ("If", "Loop", "Scan", "TensorIterator")


def int8_share(profile: Profile, nodes: Sequence[Node]) -> float | None:
    """Return the MACs of kernels that computed in 8 bits / those of all; None if none are known.

    A kernel has the MACs that the engine reports, or those of the nodes that were merged into it; a
    node of several kernels counts for the longest. What is not counted is in neither number.
    """
    counted = list(zip(profile.kernels, _counts(profile, nodes), strict=True))
    total = sum(map(_sum, counted))
    if not total:
        return None
    return sum(_sum(one) for one in counted if _in_8_bits(one[0])) / total


def float_shares(profile: Profile, nodes: Sequence[Node]) -> dict[str, float]:
    """Return what did not compute in 8 bits, by operator: its MACs / those of all kernels.

    Those of loops and branches are of what is inside of them. The largest come first.
    """
    macs, kinds = {one.name: one.macs or 0 for one in nodes}, {one.name: one.kind for one in nodes}
    counted = list(zip(profile.kernels, _counts(profile, nodes), strict=True))
    total = sum(map(_sum, counted))
    found: Counter[str] = Counter()
    for kernel, own in counted:
        if _in_8_bits(kernel):
            continue
        if kernel.macs is None:
            for name, count in own.items():
                found[kinds[name]] += count
        else:  # of the operator that does most of it
            known = [name for name in kernel.origins if macs.get(name)]
            most = max(known, key=macs.__getitem__, default="")
            found[kinds.get(most, kernel.kind)] += kernel.macs
    return {kind: count / total for kind, count in found.most_common() if count}


def _counts(profile: Profile, nodes: Sequence[Node]) -> list[dict[str, int]]:
    """Return the MACs that each kernel has of each node, by the node's name."""
    macs = {node.name: node.macs or 0 for node in nodes}
    holders: dict[str, list[int]] = {}
    for index, kernel in enumerate(profile.kernels):
        for name in dict.fromkeys(kernel.origins):
            if macs.get(name):
                holders.setdefault(name, []).append(index)
    found: list[dict[str, int]] = [{} for _ in profile.kernels]
    for name, held in holders.items():
        longest = max(held, key=lambda index: sum(profile.kernels[index].times_s))
        found[longest][name] = macs[name]
    return found


def _sum(counted: tuple[Kernel, dict[str, int]]) -> int:
    kernel, own = counted
    return sum(own.values()) if kernel.macs is None else kernel.macs


def _in_8_bits(kernel: Kernel) -> bool:
    if kernel.kind in _CONTROL:
        return False
    return kernel.precision == "int8" or kernel.kind.startswith(_ROUNDS_ITSELF)
