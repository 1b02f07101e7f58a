"""Which part of a model's arithmetic ran in 8 bits, by the kernels that ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perfsuite.domain.profile import Kernel, Node, Profile

# The first operand of such a kernel is float, and is rounded inside of it.
_ROUNDS_ITSELF = "DynamicQuantize"


def int8_share(profile: Profile, nodes: Sequence[Node]) -> float | None:
    """Return the MACs of kernels that computed in 8 bits / those of all; None if none are known.

    A kernel has the MACs that the engine reports, or those of the nodes that were merged into it.
    What is not counted is in neither number.
    """
    macs = {node.name: node.macs or 0 for node in nodes}
    counted = [(kernel, _macs(kernel, macs)) for kernel in profile.kernels]
    total = sum(count for _, count in counted)
    if not total:
        return None
    return sum(count for kernel, count in counted if _in_8_bits(kernel)) / total


def float_shares(profile: Profile, nodes: Sequence[Node]) -> dict[str, float]:
    """Return what did not compute in 8 bits, by operator: its MACs / those of all kernels.

    Those of loops and branches are of what is inside of them. The largest come first.
    """
    macs, kinds = {one.name: one.macs or 0 for one in nodes}, {one.name: one.kind for one in nodes}
    total = sum(_macs(kernel, macs) for kernel in profile.kernels)
    found: Counter[str] = Counter()
    for kernel in profile.kernels:
        if _in_8_bits(kernel):
            continue
        known = [name for name in kernel.origins if macs.get(name)]
        if kernel.macs is None:
            for name in known:
                found[kinds[name]] += macs[name]
        else:  # of the operator that does most of it
            most = max(known, key=macs.__getitem__, default="")
            found[kinds.get(most, kernel.kind)] += kernel.macs
    return {kind: count / total for kind, count in found.most_common() if count}


def _macs(kernel: Kernel, macs: dict[str, int]) -> int:
    if kernel.macs is not None:
        return kernel.macs
    return sum(macs.get(name, 0) for name in kernel.origins)


def _in_8_bits(kernel: Kernel) -> bool:
    return kernel.precision == "int8" or kernel.kind.startswith(_ROUNDS_ITSELF)
