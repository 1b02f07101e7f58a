"""Whether kernels of 8 bits use VNNI whose names do not tell it: by sums that overflow without."""

from __future__ import annotations

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Runtime
from perfsuite.libraries.proof import UNTOLD
from perfsuite.runner.jobs.overflow import sums_of_bytes

_VNNI = {"AVX-512": "AVX-512 VNNI", "AVX2": "AVX2 VNNI"}
_TOLD = (
    "a convolution of the largest bytes there are, on kernels of these names in the same process, "
    "does not overflow: they add products in 32 bits"
)


def with_vnni(evidence: Evidence, runtime: Runtime, cell: Cell) -> Evidence:
    """Return the evidence with VNNI at the layers whose kernels were seen to add as it does.

    A library asks once whether the processor has it, or is told not to. The evidence stays as it is
    where no such kernel computes the convolution, or its sums overflow.
    """
    if not any(map(_is_untold, evidence.layers)):
        return evidence
    seen = sums_of_bytes(runtime, cell, inspect=True)
    if seen is None or seen.overflow or not any(map(UNTOLD.search, seen.kernels)):
        return evidence
    layers = tuple(_named(one) if _is_untold(one) else one for one in evidence.layers)
    item = EvidenceItem("observed", "sums of bytes", cell.runtime, _TOLD)
    return msgspec.structs.replace(evidence, layers=layers, items=(*evidence.items, item))


def _is_untold(layer: LayerKernel) -> bool:
    return layer.instruction_set in _VNNI and UNTOLD.search(layer.kernel) is not None


def _named(layer: LayerKernel) -> LayerKernel:
    return msgspec.structs.replace(layer, instruction_set=_VNNI[layer.instruction_set])
