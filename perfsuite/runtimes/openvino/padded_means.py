"""Average pooling that counts its padding, which OpenVINO (2026.4) does wrongly in two cases.

Of values in 8 bits with a zero point it adds integers of zero, which stand for other values than
zero; zeros put around a picture by an operator of its own it takes in, and does the same. Windows
that `ceil_mode` lets reach past the padding it divides by all that the kernel holds. A maximum with
the lowest number changes nothing, and keeps a pooling in float and apart from its padding.
"""

from __future__ import annotations

from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.rounded_reductions import is_shifted, keep_float

_POOL, _PAD, _FLOOR = "AvgPool", "Pad", "floor"


def keep_means_right(model: Any) -> None:
    """Change an OpenVINO model so that means count their padding as zeros, and no more of it."""
    for each in models(model):
        for layer in each.get_ordered_ops():
            if layer.get_type_name() == _POOL:
                _keep_right(layer)


def _keep_right(layer: Any) -> None:
    settings = layer.get_attributes()
    past = settings["rounding_type"] != _FLOOR
    if past and _adds_padding(layer):
        _pad_before(layer, settings)
    elif counts_padding(layer) and (past or is_shifted(layer)):
        keep_float(layer)


def counts_padding(layer: Any) -> bool:
    """Tell whether an average pooling counts its padding, or that of an operator before it."""
    return _adds_padding(layer) or layer.input_value(0).get_node().get_type_name() == _PAD


def _adds_padding(layer: Any) -> bool:
    settings = layer.get_attributes()
    padded = any((*settings["pads_begin"], *settings["pads_end"]))
    return padded and not settings["exclude-pad"]


def _pad_before(layer: Any, settings: dict[str, Any]) -> None:
    """Put the padding into an operator of its own, if as many windows begin in the picture."""
    import numpy as np
    from openvino import opset14 as operators

    value = layer.input_value(0)
    begin, end = ([0, 0, *map(int, settings[name])] for name in ("pads_begin", "pads_end"))
    zero = np.array(0, value.get_element_type().to_dtype())
    name = layer.get_friendly_name()  # in breakdowns these are a part of it
    padded = operators.pad(value, begin, end, "constant", zero, name=f"{name}/padding")
    sides = len(settings["kernel"])
    made = operators.avg_pool(
        padded.output(0), settings["strides"], [0] * sides, [0] * sides, settings["kernel"],
        exclude_pad=True, rounding_type=settings["rounding_type"], name=f"{name}/pooling",
    )  # fmt: skip
    keep_float(made)
    if made.get_output_partial_shape(0) == layer.get_output_partial_shape(0):
        made.set_friendly_name(name)
        for reader in layer.output(0).get_target_inputs():
            reader.replace_source_output(made.output(0))
