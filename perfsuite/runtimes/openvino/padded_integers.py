"""Padding of integers that have a zero point, for which OpenVINO (2026.4) takes integers of zero.

These stand for other values than zero, and all answers near a border are wrong. It was seen of pads
of three sides, and on processors without VNNI of grouped convolutions of five, where the channels
of a group do not come in fours; never where each channel is a group of its own. Those are kept in
float, which has no zero point.
"""

from __future__ import annotations

from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.rounded_reductions import is_shifted, keep_float

_GROUPED, _PAD = "GroupConvolution", "Pad"
_PAD_SIDES = 3
_WEIGHT_SIDES = 6  # groups, outputs and inputs of each, and three of the kernel
_TOGETHER = 4  # channels of a group, of inputs and outputs both, which are answered rightly


def keep_padding_zero(model: Any) -> None:
    """Change an OpenVINO model so that padding has values of zero."""
    for each in models(model):
        for layer in each.get_ordered_ops():
            if _is_wrong(layer) and is_shifted(layer):
                keep_float(layer)


def _is_wrong(layer: Any) -> bool:
    kind = layer.get_type_name()
    if kind == _PAD:
        constant = layer.get_attributes()["pad_mode"] == "constant"
        rank = layer.input(0).get_partial_shape().rank
        return bool(constant and (rank.is_dynamic or rank.get_length() == _PAD_SIDES))
    return bool(kind == _GROUPED and _is_wrong_group(layer))


def _is_wrong_group(layer: Any) -> bool:
    shape = list(layer.input(1).get_partial_shape())
    channels = [side.get_length() if side.is_static else 0 for side in shape[1:3]]
    alone, together = channels == [1, 1], all(n and n % _TOGETHER == 0 for n in channels)
    return len(shape) == _WEIGHT_SIDES and _pads(layer) and not alone and not together


def _pads(layer: Any) -> bool:
    """Tell whether a layer pads, or an operator before it, which the engine takes in."""
    settings = layer.get_attributes()
    own = settings["auto_pad"] != "explicit" or any(
        (*settings["pads_begin"], *settings["pads_end"])
    )
    return own or layer.input_value(0).get_node().get_type_name() == _PAD
