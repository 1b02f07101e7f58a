"""Who computed each layer of a compiled graph, by the name of its primitive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.instruction_sets import named
from perfsuite.domain.profile import Node
from perfsuite.runtimes.openvino.profile import PRODUCTS, CompiledLayer, in_calls, origins
from perfsuite.runtimes.shared.denormals import Share, denormals
from perfsuite.runtimes.shared.precision import PRECISIONS, is_layer

_OWN = "OpenVINO"
# What stands in the name of a primitive that is of another library than oneDNN.
_OTHERS = (
    ("mlas", "MLAS"),
    ("acl", "Arm Compute Library"),
    ("kleidi", "KleidiAI"),
    ("shl", "SHL"),
    ("unknown", _OWN),
    ("undef", _OWN),
)
# The layers that it has computed by oneDNN; others are its own code.
_BY_ONEDNN = ("Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNCell", "RNNSeq")


def layer_kernels(
    graph: Sequence[Node], compiled: Sequence[CompiledLayer]
) -> tuple[LayerKernel, ...]:
    """Return the primitive of each layer in the order in which they run.

    `graph` is what was compiled. A layer has the name of the ONNX node that it was made of.
    """
    found = in_calls(compiled)
    products = {node.path for node in graph if node.kind in PRODUCTS}
    names, _ = origins(graph, found)
    return tuple(
        LayerKernel(
            _name(layer, own, products),
            layer.node.kind,
            layer.primitive,
            _library(layer),
            named(layer.primitive),
            PRECISIONS.get(layer.precision, layer.precision),
            # One that takes less than a microsecond has no time: whether it ran, it only says.
            "reported" if layer.time_s is None else "observed",
        )
        for layer, own in zip(found, names, strict=True)
        if is_layer(layer.node.kind)
    )


def _name(layer: CompiledLayer, own: Sequence[str], products: set[str]) -> str:
    """Return the product that the engine names first, else the last that must have been merged."""
    told = next((one for one in layer.merged if one in products), "")
    last = next((one for one in reversed(own) if one in products), "")
    return told or last or next(iter(own), layer.node.name)


def _library(layer: CompiledLayer) -> str:
    lowered = layer.primitive.lower()
    for word, library in _OTHERS:
        if word in lowered.split("_"):
            return library
    return "oneDNN" if layer.node.kind in _BY_ONEDNN else _OWN


def weights(model: Any) -> Iterator[Share]:
    """Yield the share of denormals in each constant of a model that is not compiled."""
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != "Constant":
            continue
        if operation.get_element_type().get_type_name() in ("f32", "f64"):
            yield denormals(str(operation.get_friendly_name()), operation.data)
