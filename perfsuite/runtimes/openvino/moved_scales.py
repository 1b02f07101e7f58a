"""Scales and shifts before reductions, which OpenVINO (2026.4) moves behind them, at times wrongly.

Wherever a model rounds any values, it takes a product or a sum with a constant, also that of a
batch normalization, for the scale and zero point of integers, and moves it. Behind a mean, sum,
maximum or minimum of three sides it becomes that of other channels; behind a mean that counts its
padding the shift is added to the padding, too; a negative scale is lost where the mean is rounded;
and before rows that are taken of what was rounded and scaled the process dies. A maximum with the
lowest number changes nothing, and scales stay before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.padded_means import counts_padding
from perfsuite.runtimes.openvino.rounded_reductions import (
    MOVES,
    has_three_sides,
    is_rounded,
    keep_float,
)

_NORM = "BatchNormInference"
_SCALES = ("Multiply", "Divide")
_AFFINE = (*_SCALES, "Add", "Subtract", _NORM)
_TAKES = "Gather"
_POOL, _REDUCTIONS = "AvgPool", ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
_ROUNDS, _CONVERTS, _CONSTANT = "FakeQuantize", "Convert", "Constant"


def keep_scales_before(model: Any) -> None:
    """Change an OpenVINO model that rounds so that no scale is moved where that is wrong."""
    every = [layer for each in models(model) for layer in each.get_ordered_ops()]
    if not any(one.get_type_name() == _ROUNDS for one in every):
        return
    for layer in every:
        if _is_wrong(layer):
            keep_float(layer)


def _is_wrong(layer: Any) -> bool:
    kind = layer.get_type_name()
    if kind in _REDUCTIONS and has_three_sides(layer):
        return any(True for _ in _affine(layer))
    if kind == _TAKES:
        return is_rounded(layer) and any(True for _ in _affine(layer))
    if kind != _POOL:
        return False
    return any(counts_padding(layer) or _is_negative(one) for one in _affine(layer))


def _affine(layer: Any) -> Iterator[Any]:
    """Yield the products and sums with constants before a layer, but those of integers."""
    seen, left = set(), [layer.input_value(0).get_node()]
    while left:
        one = left.pop()
        name, kind = one.get_friendly_name(), one.get_type_name()
        if name in seen or kind == _ROUNDS:
            continue
        seen.add(name)
        inputs = [port.get_node() for port in one.input_values()]
        if kind in _AFFINE:
            if _dequantizes(one):
                continue
            if kind == _NORM or any(each.get_type_name() == _CONSTANT for each in inputs):
                yield one
        if kind in (*MOVES, *_AFFINE, *_REDUCTIONS):
            left += inputs


def _dequantizes(layer: Any) -> bool:
    """Tell whether it is the scale or the zero point of integers."""
    before = layer.input_value(0).get_node()
    if before.get_type_name() == "Subtract":
        before = before.input_value(0).get_node()
    return bool(before.get_type_name() == _CONVERTS)


def _is_negative(layer: Any) -> bool:
    """Tell whether a layer scales by a constant that is less than zero."""
    kind = layer.get_type_name()
    if kind != _NORM and kind not in _SCALES:
        return False
    ports = layer.input_values()[1:2] if kind == _NORM else layer.input_values()
    held = [port.get_node() for port in ports]
    return any((one.data < 0).any() for one in held if one.get_type_name() == _CONSTANT)
