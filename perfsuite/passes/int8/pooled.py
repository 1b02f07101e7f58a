"""The ranges of means, which engines refuse where they are nearly nothing of what was averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from perfsuite.passes.int8.placement import POOLS
from perfsuite.passes.int8.sharing import Range

if TYPE_CHECKING:
    import onnx

_MOST = 128.0  # ONNX Runtime 1.24 multiplies by less than 256 when it rounds a mean


def wide_enough(graph: onnx.GraphProto, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Return `ranges`, in which no pooling's result spans too little of what its input spans.

    Values that cancel out, as behind an instance normalization, have means of about zero.
    """
    found = dict(ranges)
    for node in graph.node:
        if node.op_type in POOLS and node.input[0] in found and node.output[0] in found:
            least = _span(found[node.input[0]]) / _MOST
            low, high = found[node.output[0]]
            if _span((low, high)) < least:
                found[node.output[0]] = low, max(low, 0.0) + least
    return found


def _span(limits: Range) -> float:
    return max(limits[1], 0.0) - min(limits[0], 0.0)
