"""Which operators move integers, and not the values that these stand for.

OpenVINO (2026.4) takes the scale and the zero point of integers from before an operator to behind
it, so that the operator moves integers and the layers behind run in 8 bits. Where another integer
than zero stands for zero it does not take them past zeros that are put around, and behind parts
that are joined it has a zero point for each place: along all axes but the channels of a convolution
the layers behind run in float, or the model is not compiled at all. Told what to do with integers,
it runs all of them in 8 bits, and moves a fourth of the bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from perfsuite.passes.int8.placement import PRODUCTS
from perfsuite.passes.int8.sharing import Placement

if TYPE_CHECKING:
    import onnx

# Of what moves values, all that has kernels for integers in both engines.
_ABLE = (
    "Concat", "Expand", "Flatten", "Identity", "MaxPool", "Pad", "Reshape", "Slice", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
_CHANNELS = 1  # the axis of a convolution's


def moved_as_integers(
    graph: onnx.GraphProto, placement: Placement, shifted: Collection[int]
) -> set[str]:
    """Return the carriers of `placement` that are made of integers by the nodes of `graph`.

    `shifted` are the groups of which another integer than zero stands for zero. These are the
    results of Pads and of concatenations that lose the layers behind them, and all between what is
    rounded and such a result.
    """
    carriers = {n: group for n, group in placement.carriers.items() if group in shifted}
    weighted = {*placement.weighted}
    products = {
        carriers.get(node.input[0])
        for node in graph.node
        if node.op_type in PRODUCTS and node.output[0] in weighted
    }
    able: set[str] = set()
    for node in graph.node:
        carried = carriers.keys() & {*parts_of(node)} if node.op_type in _ABLE else {""}
        if carried <= able and {*node.output} <= carriers.keys():
            able.update(node.output)
    found: set[str] = set()
    for node in reversed(graph.node):
        for name in able.intersection(node.output):
            if name in found or _is_lost(node, in_products=carriers[name] in products):
                found.update(node.output)
                found.update(able.intersection(parts_of(node)))
    return found


def parts_of(node: onnx.NodeProto) -> list[str]:
    """Return the names of what a node moves."""
    return list(node.input) if node.op_type == "Concat" else [node.input[0]]


def _is_lost(node: onnx.NodeProto, *, in_products: bool) -> bool:
    """Tell whether integers of a node's results would not be known any more."""
    if node.op_type != "Concat":
        return bool(node.op_type == "Pad")
    axes = [one.i for one in node.attribute if one.name == "axis"]
    return in_products or axes != [_CHANNELS]
