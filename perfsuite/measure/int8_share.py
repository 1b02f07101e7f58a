"""Which part of a model's arithmetic ran in 8 bits, by the kernels that ran."""

from __future__ import annotations

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


def _macs(kernel: Kernel, macs: dict[str, int]) -> int:
    if kernel.macs is not None:
        return kernel.macs
    return sum(macs.get(name, 0) for name in kernel.origins)


def _in_8_bits(kernel: Kernel) -> bool:
    return kernel.precision == "int8" or kernel.kind.startswith(_ROUNDS_ITSELF)
