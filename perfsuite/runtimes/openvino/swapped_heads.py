"""Attention over as many tokens as it has heads, of which OpenVINO overwrites what it still reads.

Its kernel for attention swaps heads and tokens itself, and writes its answers in the place of the
query where both have the same shape. With as many tokens as heads they have, though one is swapped
and the other is not: heads that are computed later read answers of earlier ones in place of their
query (OpenVINO 2026.4). A swap with a side more, of one element, stays out of that kernel.
"""

from __future__ import annotations

from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.single_rows import SQUEEZE

_TRANSPOSE, _PRODUCT = "Transpose", "MatMul"


def keep_swaps_apart(model: Any) -> None:
    """Change an OpenVINO model so that no product is fused with a swap that keeps all sides alike.

    Sides that are open count as alike if the engine cannot tell them apart.
    """
    for each in models(model):
        for swap in each.get_ordered_ops():
            if swap.get_type_name() == _TRANSPOSE and _keeps_sides(swap) and _at_product(swap):
                _widen(swap, _order(swap))


def _order(swap: Any) -> list[int]:
    """Return the order of a Transpose's sides; none if it is not a constant."""
    given = swap.input_value(1).get_node()
    return [int(one) for one in given.data] if given.get_type_name() == "Constant" else []


def _keeps_sides(swap: Any) -> bool:
    """Tell whether a Transpose moves sides, but for the last one, and the shape is as before."""
    order = _order(swap)
    moves = order != sorted(order) and order[-1] == len(order) - 1
    return moves and _shape(swap) == swap.input(0).get_partial_shape()


def _shape(layer: Any) -> Any:
    return layer.output(0).get_partial_shape()


def _at_product(swap: Any) -> bool:
    """Tell whether a Transpose moves what a product gives, or the first of what one takes."""
    shape, before = _shape(swap), swap.input_value(0).get_node()
    while _elementwise(before, shape):
        before = before.input_value(0).get_node()
    return before.get_type_name() == _PRODUCT or _is_taken(swap)


def _is_taken(swap: Any) -> bool:
    """Tell whether a product takes, as its first operand, what elementwise layers make of this."""
    shape, seen, left = _shape(swap), set(), [swap]
    while left:
        for port in left.pop().output(0).get_target_inputs():
            reader = port.get_node()
            name = reader.get_friendly_name()
            if port.get_index() != 0 or name in seen:
                continue
            if reader.get_type_name() == _PRODUCT:
                return True
            seen.add(name)
            if _elementwise(reader, shape):
                left.append(reader)
    return False


def _elementwise(layer: Any, shape: Any) -> bool:
    """Tell whether a layer with one output of this shape makes each value of one of its input."""
    if layer.get_type_name() in (_PRODUCT, _TRANSPOSE) or layer.get_output_size() != 1:
        return False
    if not layer.get_input_size() or layer.input(0).get_partial_shape() != shape:
        return False
    return bool(_shape(layer) == shape)


def _widen(swap: Any, order: list[int]) -> None:
    """Give what a Transpose moves a last side of one element, and take it away behind it."""
    import numpy as np
    from openvino import opset13 as operators

    name, last = swap.get_friendly_name(), np.array([len(order)], np.int64)
    value = swap.output(0)
    readers, names = value.get_target_inputs(), value.get_names()
    wide = operators.unsqueeze(swap.input_value(0), last, name=f"{name}/unsqueeze")
    moved = operators.transpose(wide, np.array([*order, len(order)], np.int64), name=name)
    narrow = operators.squeeze(moved, last, name=name + SQUEEZE)
    for reader in readers:
        reader.replace_source_output(narrow.output(0))
    value.set_names(set())
    narrow.output(0).set_names(names)
    moved.output(0).set_names({f"{name}/wide"})  # breakdowns go by layers that have one
