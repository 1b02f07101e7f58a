"""The network that the engine's parser made of a graph: which type each of its layers computes in.

This is checked before it is built, since an engine that types nothing by itself computes exactly in
what the network says: what the parser has lost, such as a Q/DQ pair, would be lost silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from perfsuite.errors import SilentFallback, Unsupported
from perfsuite.runtimes.tensorrt.built import NetworkLayer

if TYPE_CHECKING:
    import onnx

_PRODUCTS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
_RESTORE = "DEQUANTIZE"
# Layers that pass on what they are given: between a pair and the product that it is for.
_PASSES_ON = ("SHUFFLE", "CAST", "IDENTITY", "SQUEEZE", "UNSQUEEZE")
_TYPES = {
    "FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "INT8": "int8", "FP8": "fp8", "INT4": "int4",
    "FP4": "fp4", "INT32": "int32", "INT64": "int64", "UINT8": "uint8", "BOOL": "bool",
}  # fmt: skip
_FLOAT_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def network_layers(network: Any) -> tuple[NetworkLayer, ...]:
    """Return the layers of a parsed network in its order."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    makers = {
        layer.get_output(index).name: layer
        for layer in layers
        for index in range(layer.num_outputs)
        if layer.get_output(index) is not None
    }
    return tuple(_layer(layer, makers) for layer in layers)


def _layer(layer: Any, makers: dict[str, Any]) -> NetworkLayer:
    kind = _word(layer.type)
    is_product = kind in _PRODUCTS
    inputs = list(_inputs(layer))
    if is_product and len(inputs) > 1 and all(_is_restored(one, makers) for one in inputs[:2]):
        return NetworkLayer(layer.name, kind, "int8", True)
    return NetworkLayer(layer.name, kind, _computed_in(layer, inputs), is_product)


def _computed_in(layer: Any, inputs: Sequence[Any]) -> str:
    """Return the type of what a layer reads or, if it reads nothing, gives."""
    told = inputs[0] if inputs else layer.get_output(0)
    return _TYPES.get(_word(told.dtype), "") if told is not None else ""


def _is_restored(tensor: Any, makers: dict[str, Any]) -> bool:
    """Tell whether a value comes from a DequantizeLinear of 8 bits."""
    layer = makers.get(tensor.name)
    while layer is not None and _word(layer.type) in _PASSES_ON:
        before = next(_inputs(layer), None)
        layer = None if before is None else makers.get(before.name)
    if layer is None or _word(layer.type) != _RESTORE:
        return False
    return _word(next(_inputs(layer)).dtype) == "INT8"


def _inputs(layer: Any) -> Iterator[Any]:
    for index in range(layer.num_inputs):
        tensor = layer.get_input(index)
        if tensor is not None:
            yield tensor


def _word(told: Any) -> str:
    return str(told).rpartition(".")[2]


def check_types(
    layers: Sequence[NetworkLayer],
    precision: str,
    graph: onnx.ModelProto,
    engine: str,
    in_float: Sequence[str] = (),
) -> None:
    """Raise `SilentFallback` if products have another type than the graph that was parsed.

    Those between Q/DQ pairs have to be int8, as many as the graph has; of the others at least one
    is of the precision that was asked for, and none of a lower one. Raises `Unsupported` where all
    are of operators that stay `in_float`, as the engine takes them so alone.
    """
    found = Counter(one.precision for one in layers if one.is_product)
    words = ", ".join(f"{times} in {one}" for one, times in sorted(found.items())) or "none"
    rounded = rounded_products(graph)
    if found["int8"] != rounded:
        raise SilentFallback(
            f"{engine}: {rounded} layers of the graph are between Q/DQ pairs, and of what its "
            f"parser made of them ({words}) {found['int8']} are; a fault of perfsuite's or of this "
            f"version of {engine}'s: take recipe fp32 or another engine"
        )
    wanted = "fp32" if precision == "tf32" else precision
    others = {one for one in found if one != "int8"}
    lowered = others - {"fp32", wanted}
    if in_float and others == {"fp32"} and not found["int8"]:
        raise Unsupported(
            f"{engine} computes {' and '.join(in_float)} in float32 alone, and the graph has no "
            f"other products; ask for fp32 instead of {precision}"
        )
    if lowered or (others and wanted not in others and found["int8"] == 0):
        raise SilentFallback(
            f"{engine}: {precision} was asked for, and its parser made layers in other types "
            f"({words}); let the graph have one type, or ask for another precision"
        )


def rounded_products(graph: onnx.ModelProto) -> int:
    """Return how many products of a graph read two values that are restored from 8 bits."""
    makers = {value: node for node in graph.graph.node for value in node.output}
    return sum(
        node.op_type in _FLOAT_LAYERS
        and all(_from_pair(name, makers) for name in list(node.input)[:2])
        for node in graph.graph.node
    )


def _from_pair(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    node = makers.get(name)
    while node is not None and node.op_type in ("Cast", "Identity"):
        node = makers.get(node.input[0])
    return node is not None and node.op_type == "DequantizeLinear"
