"""Joined values with a zero point before a product with weights, which OpenVINO does not compile.

Behind parts that are joined it has a zero point for each place along the axis that they are joined
by. Where these are all the same, and that axis is not the one that a product adds along, as with
tokens, it fails (OpenVINO 2026.4). A maximum with the lowest number changes nothing and keeps the
zero points before it; what is rounded behind it still runs in 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perfsuite.runtimes.openvino.bodies import models
from perfsuite.runtimes.openvino.rounded_reductions import gives_shifted
from perfsuite.runtimes.openvino.rounded_results import constants_of, put_apart

_PRODUCT, _JOINS = "MatMul", "Concat"
_TURNS = ("Reshape", "Squeeze", "Transpose", "Unsqueeze")  # behind which an axis is another one
# Through these a zero point is moved from before an operator to behind it.
_PASSES = (
    *_TURNS, "Clamp", "Convert", "FakeQuantize", "MaxPool", "Multiply", "Pad", "Relu", "Slice",
    "Split", "StridedSlice", "Subtract", "Tile", "VariadicSplit",
)  # fmt: skip


def keep_joins_apart(model: Any) -> None:
    """Change an OpenVINO model so that no product with weights meets such zero points."""
    for each in models(model):
        layers = each.get_ordered_ops()
        constants = constants_of(layers)
        for layer in layers:
            if layer.get_type_name() == _PRODUCT and _weights_of(layer) in constants:
                for joined in [*_joined_otherwise(layer)]:
                    put_apart(joined)


def _weights_of(product: Any) -> str:
    return str(product.input_value(1).get_node().get_friendly_name())


def _joined_otherwise(product: Any) -> Iterator[Any]:
    """Yield what joins shifted values of a product along another axis than it adds along."""
    seen = set()
    left = [(product.input_value(0).get_node(), product.get_attributes()["transpose_a"])]
    while left:
        layer, turned = left.pop()
        name, kind = layer.get_friendly_name(), layer.get_type_name()
        if name in seen:
            continue
        seen.add(name)
        if kind == _JOINS:
            if (turned or not _joins_last(layer)) and gives_shifted(layer):
                yield layer
        elif kind in _PASSES:
            left.append((layer.input_value(0).get_node(), turned or kind in _TURNS))


def _joins_last(layer: Any) -> bool:
    rank, axis = layer.output(0).get_partial_shape().rank, layer.get_attributes()["axis"]
    return bool(rank.is_static and axis % rank.get_length() == rank.get_length() - 1)
