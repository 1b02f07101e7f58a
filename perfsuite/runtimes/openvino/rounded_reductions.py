"""Means and sums of rounded values, which OpenVINO computes in 8 bits, and wrongly.

A mean over a side of three is right for the first sample of a call alone, or for the first few: of
the others it reads something else. A sum is rounded as if its values were scaled already (OpenVINO
2026.4). A maximum with the lowest number changes nothing and keeps both in float.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perfsuite.runtimes.openvino.bodies import models

_MEAN, _SUM = "ReduceMean", "ReduceSum"
_SIDES = 3  # of a mean that is wrong
_ROUNDS, _CONSTANT = "FakeQuantize", "Constant"
_LOWEST = 1  # the input of a FakeQuantize with the lowest value that it keeps
# Through these a scale is moved from before an operator to behind it.
MOVES = (
    "Add", "AvgPool", "BatchNormInference", "BatchToSpace", "Broadcast", "Clamp", "Concat",
    "DepthToSpace", "Gather", "Interpolate", "MaxPool", "Multiply", "Pad", "PRelu", "Relu",
    "Reshape", "ShuffleChannels", "Slice", "SpaceToBatch", "SpaceToDepth", "Split", "Squeeze",
    "StridedSlice", "Subtract", "Tile", "Transpose", "Unsqueeze", "VariadicSplit",
)  # fmt: skip


def keep_reductions_float(model: Any) -> None:
    """Change an OpenVINO model so that no mean or sum that it answers wrongly runs in 8 bits."""
    for each in models(model):
        for layer in each.get_ordered_ops():
            if _is_wrong(layer) and is_rounded(layer.input_value(0).get_node()):
                keep_float(layer)


def _is_wrong(layer: Any) -> bool:
    kind = layer.get_type_name()
    may = kind == _SUM or (kind == _MEAN and has_three_sides(layer))
    return bool(may and layer.get_input_element_type(0).is_real())  # integers are added as such


def has_three_sides(layer: Any) -> bool:
    """Tell whether what a layer reads has three sides, or may have."""
    rank = layer.input(0).get_partial_shape().rank
    return bool(rank.is_dynamic or rank.get_length() == _SIDES)


def is_rounded(layer: Any) -> bool:
    """Tell whether a layer's values are integers times a scale, as far as operators show it."""
    return any(True for _ in roundings(layer))


def roundings(layer: Any) -> Iterator[Any]:
    """Yield the layers that make integers of which a layer's values are multiples."""
    seen, left = set(), [layer]
    while left:
        one = left.pop()
        name, kind = one.get_friendly_name(), one.get_type_name()
        if name in seen:
            continue
        seen.add(name)
        if kind == _ROUNDS or (kind == "Convert" and one.get_input_element_type(0).is_integral()):
            yield one
        elif kind in (*MOVES, _MEAN, _SUM):
            left += [port.get_node() for port in one.input_values()]


def is_shifted(layer: Any) -> bool:
    """Tell whether a layer may read integers of which another one than zero stands for zero."""
    return gives_shifted(layer.input_value(0).get_node())


def gives_shifted(layer: Any) -> bool:
    """Tell whether a layer may give multiples of such integers."""
    return any(map(_shifts, roundings(layer)))


def _shifts(rounding: Any) -> bool:
    """Tell whether integers have a zero point, or are one that is not zero."""
    while rounding.get_type_name() == "Convert":
        rounding = rounding.input_value(0).get_node()
    if rounding.get_type_name() == _ROUNDS:
        lowest = rounding.input_value(_LOWEST).get_node()
        return lowest.get_type_name() != _CONSTANT or bool((lowest.data < 0).any())
    return rounding.get_type_name() != _CONSTANT or bool(rounding.data.any())


def keep_float(layer: Any) -> None:
    """Put a maximum with the lowest number before a layer."""
    import numpy as np
    from openvino import opset13 as operators

    value = layer.input_value(0)
    lowest = np.array(np.finfo(np.float32).min, value.get_element_type().to_dtype())
    name = f"{layer.get_friendly_name()}/float"  # in breakdowns it is a part of the layer
    layer.input(0).replace_source_output(operators.maximum(value, lowest, name=name).output(0))
