"""All that faults are looked for in."""

from __future__ import annotations

import math

import msgspec

from perfsuite.domain.environment import Environment
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence


class Facts(msgspec.Struct, frozen=True):
    """What ran in one process, and where.

    `runtime` is empty for what is known of the machine alone. `threads` is how many were asked for,
    0 where nobody asked. Where values are rounded to 8 bits, `portable` tells whether no two of
    their products overflow 16 bits; None where it is not known. `already` tells that the given file
    rounds them, and no pass.
    """

    evidence: Evidence
    environment: Environment
    runtime: str = ""
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 0
    rounds_to_8_bits: bool = False
    portable: bool | None = None
    already: bool = False

    def said(self, about: str, name: str = "") -> dict[str, str]:
        """Return the values of the items about something, by name; the last of one name counts."""
        return {
            item.name: item.value
            for item in self.evidence.items
            if item.about == about and name in ("", item.name)
        }

    def files(self, library: str) -> tuple[str, ...]:
        """Return the files of a library that are mapped."""
        return tuple(
            item.value
            for item in self.evidence.items
            if item.about == "library" and item.name == library and item.how == "observed"
        )

    def shows(self, library: str) -> bool:
        """Tell whether a library is known to be in the process; of the machine, it may be."""
        return not self.runtime or any(item.name == library for item in self.evidence.items)

    @property
    def products(self) -> tuple[LayerKernel, ...]:
        """Return the layers that are convolutions or matrix products: libraries are for these."""
        return tuple(layer for layer in self.evidence.layers if is_product(layer.operator))

    @property
    def flags(self) -> frozenset[str]:
        """Return the processor's flags; none where the kernel does not tell them."""
        return frozenset(self.environment.must_match.flags)

    @property
    def is_x86(self) -> bool:
        """Tell whether the processor is known to be of Intel's architecture."""
        return not self.flags.isdisjoint(("sse2", "sse4_1", "avx", "avx2"))

    @property
    def usable_cores(self) -> int:
        """Return how many threads can run at once, by affinity and the container's quota."""
        machine = self.environment.must_match
        if machine.quota_cores is None:
            return machine.usable_cores
        return max(1, min(machine.usable_cores, math.ceil(machine.quota_cores)))


_PRODUCTS = ("conv", "gemm", "matmul", "mm", "linear", "inner_product", "innerproduct", "fully")
_OTHERS = ("convert", "quantizelinear", "pool", "softmax", "norm", "linear_add", "upsample")


def is_product(operator: str) -> bool:
    """Tell whether an operator computes a convolution or a matrix product, by its name."""
    name = operator.lower()
    return any(one in name for one in _PRODUCTS) and not any(one in name for one in _OTHERS)


def listed(names: tuple[str, ...] | list[str], most: int = 3) -> str:
    """Return the first of these names in words, and how many more there are."""
    names = list(dict.fromkeys(names))
    if len(names) <= most:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[:most])} and {len(names) - most} more"
