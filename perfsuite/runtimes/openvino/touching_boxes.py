"""Boxes that overlap by just the threshold, of which OpenVINO drops one.

ONNX's NonMaxSuppression drops what overlaps by more than the threshold; OpenVINO (2026.4) what does
by as much, such as the second of two equal boxes where the threshold is 1, which keeps all. With
the next larger number as its threshold it drops what ONNX does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from perfsuite.runtimes.openvino.bodies import models

_DROPS, _THRESHOLD = "NonMaxSuppression", 3  # the place of the threshold among its inputs
_NEXT = "/next"  # ends the name of a threshold that was moved already


def keep_boxes_that_touch(model: Any) -> None:
    """Change an OpenVINO model so that it keeps boxes that overlap by just a constant threshold."""
    from openvino import op

    for each in models(model):
        for layer in each.get_ordered_ops():
            if layer.get_type_name() != _DROPS or layer.get_input_size() <= _THRESHOLD:
                continue
            given = layer.input_value(_THRESHOLD).get_node()
            name = given.get_friendly_name()
            if given.get_type_name() != "Constant" or name.endswith(_NEXT):
                continue
            above = np.nextafter(given.data, np.inf, dtype=given.data.dtype)
            moved = op.Constant(np.asarray(above))
            moved.set_friendly_name(name + _NEXT)
            layer.input(_THRESHOLD).replace_source_output(moved.output(0))
