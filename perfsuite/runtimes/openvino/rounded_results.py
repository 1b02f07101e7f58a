"""Reductions whose results are rounded, of which OpenVINO makes one kernel that answers wrongly.

Where a reduction takes away a side before the channels, or has three sides, that kernel takes
scales of other channels, as where the mean of tokens is normalized by channels and rounded. A
maximum or minimum is rounded as if it was scaled already, of any sides (OpenVINO 2026.4). A maximum
with the lowest number changes nothing and keeps reduction and rounding apart.

A product of integers, such as the size of what has a shape of its own, is wrong wherever a model
rounds any values and a constant is added to it or scales it: its kernel takes that for the scale or
zero point of 8 bits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.profile import PRODUCTS

_EXTREMES = ("ReduceMax", "ReduceMin")
_REDUCES, _LOGICAL, _MULTIPLIES = "Reduce", "ReduceLogical", "ReduceProd"
_ROUNDS, _CONSTANT, _RESULT = "FakeQuantize", "Constant", "Result"
_APART = "Maximum"  # which is in no kernel of a reduction, and what is put in between
_SIDES = 4  # from which on the sides behind the channels are reduced rightly


def keep_results_apart(model: Any) -> None:
    """Change an OpenVINO model so that what a kernel would reduce and round wrongly is in two."""
    graphs = [each.get_ordered_ops() for each in models(model)]
    rounds = any(layer.get_type_name() == _ROUNDS for layers in graphs for layer in layers)
    for layers in graphs:
        constants = constants_of(layers)
        for layer in layers:
            if _is_wrong(layer) and _meets_rounding(layer, constants):
                put_apart(layer)
            if rounds and _multiplies_integers(layer) and not _is_apart(layer):
                put_apart(layer)


def _is_wrong(layer: Any) -> bool:
    kind = layer.get_type_name()
    if not kind.startswith(_REDUCES) or kind.startswith(_LOGICAL):
        return False
    rank, axes = layer.input(0).get_partial_shape().rank, layer.input_value(1).get_node()
    if kind in _EXTREMES or rank.is_dynamic or axes.get_type_name() != _CONSTANT:
        return True
    sides = rank.get_length()
    first = min((int(one) % sides for one in axes.data.reshape(-1)), default=sides)
    return bool(sides < _SIDES or first <= 1)  # samples and channels come first


def _multiplies_integers(layer: Any) -> bool:
    return bool(
        layer.get_type_name() == _MULTIPLIES and layer.get_output_element_type(0).is_integral()
    )


def _is_apart(layer: Any) -> bool:
    readers = (port.get_node().get_type_name() for port in layer.output(0).get_target_inputs())
    return all(kind in (_APART, _RESULT) for kind in readers)


def _meets_rounding(layer: Any, constants: Collection[str]) -> bool:
    """Tell whether a layer's result, or what constants alone make of it, is rounded."""
    seen, left = set(), [layer]
    while left:
        for port in left.pop().output(0).get_target_inputs():
            reader = port.get_node()
            name, kind = reader.get_friendly_name(), reader.get_type_name()
            if kind == _ROUNDS:
                return True
            if name in seen or kind in (_APART, *PRODUCTS) or reader.get_output_size() != 1:
                continue
            seen.add(name)
            others = [one for one in reader.inputs() if one.get_index() != port.get_index()]
            given = (one.get_source_output().get_node() for one in others)
            if all(one.get_friendly_name() in constants for one in given):
                left.append(reader)
    return False


def constants_of(layers: Iterable[Any]) -> Collection[str]:
    """Return the names of what constants alone make, of layers in the order in which they run."""
    found: set[str] = set()
    for layer in layers:
        given = [one.get_node().get_friendly_name() for one in layer.input_values()]
        if found.issuperset(given) if given else layer.get_type_name() == _CONSTANT:
            found.add(layer.get_friendly_name())
    return found


def put_apart(layer: Any) -> None:
    """Have all that reads a layer's result read the maximum of it and the lowest number."""
    import numpy as np
    from openvino import opset13 as operators

    value = layer.output(0)
    readers = value.get_target_inputs()
    kind = value.get_element_type().to_dtype()
    limits: Any = np.finfo if kind.kind == "f" else np.iinfo
    lowest = np.array(limits(kind).min, kind)
    name = f"{layer.get_friendly_name()}/apart"  # in breakdowns it is a part of the layer
    made = operators.maximum(value, lowest, name=name).output(0)
    for reader in readers:
        if reader.get_node().get_type_name() != _RESULT:
            reader.replace_source_output(made)
