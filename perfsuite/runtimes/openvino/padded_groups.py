"""Grouped convolutions of three sides, whose padding OpenVINO (2026.4) takes for integers of zero.

Where the integers that a layer reads have a zero point, these stand for other values than zero, and
all answers near a border are wrong. It was seen on processors without VNNI, for groups whose
channels do not come in fours, and never where each channel is a group of its own. Those are kept in
float, which has no zero point.
"""

from __future__ import annotations

from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.rounded_reductions import is_shifted, keep_float

_GROUPED, _PAD = "GroupConvolution", "Pad"
_WEIGHT_SIDES = 6  # groups, outputs and inputs of each, and three of the kernel
_TOGETHER = 4  # channels of a group, of inputs and outputs both, which are answered rightly


def keep_padding_zero(model: Any) -> None:
    """Change an OpenVINO model so that grouped convolutions pad with values of zero."""
    for each in models(model):
        for layer in each.get_ordered_ops():
            if layer.get_type_name() == _GROUPED and _is_wrong(layer) and is_shifted(layer):
                keep_float(layer)


def _is_wrong(layer: Any) -> bool:
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
