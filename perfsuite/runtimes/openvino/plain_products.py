"""Products of rounded matrices that follow each other, which OpenVINO makes one kernel of.

Where one of them has no bias, or one number for all columns, that kernel answers with what lies in
memory beside (OpenVINO 2026.4), and it does not tell that it computes in 8 bits. Without the
engine's compiled subgraphs each product has a kernel of its own, in 8 bits.
"""

from __future__ import annotations

from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.profile import PRODUCTS
from perfsuite.runtimes.openvino.rounded_reductions import is_rounded

APART = {"SNIPPETS_MODE": "DISABLE"}  # the setting that keeps them apart

_PRODUCT, _SUM = "MatMul", "Add"
_SIDES, _SEVERAL = 2, 2


def settings_for(model: Any) -> dict[str, str]:
    """Return the settings with which an OpenVINO model's rounded products are right, and shown."""
    for each in models(model):
        layers = [one for one in each.get_ordered_ops() if one.get_type_name() in PRODUCTS]
        found = [one for one in layers if _is_rounded_product(one)]
        alone = len(found) == len(layers)  # nothing else would show that 8 bits are computed in
        if len(found) >= _SEVERAL and (alone or any(map(_is_plain, found))):
            return dict(APART)
    return {}


def note_settings(model: Any) -> None:
    """Write the settings that a model needs into it, for those who open it without perfsuite."""
    for name, value in settings_for(model).items():
        model.set_rt_info(value, ["perfsuite", name])


def _is_rounded_product(layer: Any) -> bool:
    """Tell whether a layer is a product of two sides, of values in 8 bits."""
    if layer.get_type_name() != _PRODUCT:
        return False
    rank = layer.output(0).get_partial_shape().rank
    flat = rank.is_static and rank.get_length() == _SIDES
    return bool(flat and is_rounded(layer.input_value(0).get_node()))


def _is_plain(product: Any) -> bool:
    """Tell whether the columns of a product have no bias of their own."""
    columns = product.output(0).get_partial_shape()[1]
    reader = _only_reader(product)
    if reader is not None and reader.get_type_name() == "Multiply":  # by a Gemm's factor
        reader = _only_reader(reader)
    if columns.is_dynamic or reader is None or reader.get_type_name() != _SUM:
        return True
    return not any(
        _differs(port.get_node(), columns.get_length()) for port in reader.input_values()
    )


def _only_reader(layer: Any) -> Any:
    readers = list(layer.output(0).get_target_inputs())
    return readers[0].get_node() if len(readers) == 1 else None


def _differs(layer: Any, columns: int) -> bool:
    """Tell whether a layer is a constant, or made of one, with a number for each of the columns.

    Equal numbers are taken for one.
    """
    if layer.get_type_name() == "Constant":
        wide = tuple(layer.shape)[-1:] == (columns,)
        return bool(wide and layer.data.min() < layer.data.max())
    made = layer.get_type_name() in ("Convert", "Multiply")
    return made and any(_differs(port.get_node(), columns) for port in layer.input_values())
