"""The layers of an engine as its inspector tells them, and the nodes of the graph in each.

The inspector's text differs between versions: 10 has one field for format and type of a tensor, 11
has two. Both name the ONNX nodes that were merged into a layer, in its metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Node
from perfsuite.runtimes.shared.origins import neighbours

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN")
_ORIGIN = re.compile(r"\[ONNX Layer: (.+?)\](?=\x1e|$|\s*\[)")
_NAMES = re.compile(r"\s*(?:\+|\|\||\.\.\.)\s*")  # between the nodes that a layer is named after
_ENDS = re.compile(r"^\{?ForeignNode\[|\]\}?$")
# Layers that move values, whatever node they were made for.
_MOVES = (
    "Reformat",
    "NoOp",
    "Constant",
    "ShapeHostToDevice",
    "ShapeDeviceToHost",
    "Signal",
    "Wait",
)
# The type that a layer computes in, by its kernel's name: the first that is found.
_KERNELS = (
    (re.compile(r"tf32"), "tf32"),
    (re.compile(r"i8i8|imma|int8"), "int8"),
    (re.compile(r"bf16"), "bf16"),
    (re.compile(r"f16f16|h16816|hmma|h884"), "fp16"),
)
# The type of a tensor, by the words of either version; the first that is found.
_TYPES = (
    (re.compile(r"bf16|bfloat16", re.I), "bf16"),
    (re.compile(r"\bfp?8\b|e4m3", re.I), "fp8"),
    (re.compile(r"\bint8\b", re.I), "int8"),
    (re.compile(r"\bint4\b", re.I), "int4"),
    (re.compile(r"\bu?int(32|64)\b|\buint8\b|\bbool\b", re.I), "integers"),
    (re.compile(r"\bfp16\b|\bhalf\b", re.I), "fp16"),
    (re.compile(r"\bfp32\b|\bfloat\b", re.I), "fp32"),
)


class BuiltLayer(msgspec.Struct, frozen=True):
    """One layer of an engine: `origins` are the nodes of the graph that were merged into it."""

    name: str
    kind: str  # the operator of the product in it, else as the engine says
    precision: str
    origins: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kernel: str = ""

    @property
    def is_product(self) -> bool:
        """Tell whether it computes a convolution or a matrix product."""
        return self.kind in PRODUCTS


def built_layers(text: str, graph: Sequence[Node]) -> list[BuiltLayer]:
    """Return the layers in the inspector's JSON, in the order in which they run.

    `graph` are the nodes that the engine was given. Without detailed verbosity a layer is a name
    alone.
    """
    known = {node.name: node for node in graph}
    found = json.loads(text).get("Layers", [])
    return [_layer({"Name": one} if isinstance(one, str) else one, known) for one in found]


def _layer(told: dict[str, Any], known: dict[str, Node]) -> BuiltLayer:
    name, kind = str(told.get("Name", "")), str(told.get("LayerType", ""))
    origins = _origins(str(told.get("Metadata", "")), name, known)
    inputs, outputs = told.get("Inputs") or [], told.get("Outputs") or []
    product = next((known[one].kind for one in origins if known[one].kind in PRODUCTS), "")
    kernel = str(told.get("TacticName", ""))
    return BuiltLayer(
        name,
        product if product and kind not in _MOVES else kind or "layer",
        _precision(kernel, inputs, told.get("Weights"), outputs),
        origins,
        tuple(str(one.get("Name", "")) for one in inputs),
        tuple(str(one.get("Name", "")) for one in outputs),
        kernel,
    )


def _origins(metadata: str, name: str, known: dict[str, Node]) -> tuple[str, ...]:
    """Return the nodes that were merged into a layer; by its name where no metadata tell them."""
    told = _ORIGIN.findall(metadata) or _NAMES.split(_ENDS.sub("", name))
    return tuple(dict.fromkeys(one for one in told if one in known))


def _precision(
    kernel: str, inputs: Sequence[dict[str, Any]], weights: Any, outputs: Sequence[dict[str, Any]]
) -> str:
    """Return the type that a layer computes in: of its kernel, else of the first value it reads."""
    lowered = kernel.lower()
    for pattern, precision in _KERNELS:
        if pattern.search(lowered):
            return precision
    texts = [_type_text(one) for one in inputs[:1]]
    if isinstance(weights, dict):
        texts.append(str(weights.get("Type", "")))
    texts += [_type_text(one) for one in outputs[:1]]
    return next((word for text in texts if (word := type_word(text))), "")


def _type_text(tensor: dict[str, Any]) -> str:
    return str(tensor.get("DataType") or tensor.get("Format/Datatype") or tensor.get("Format", ""))


def type_word(text: str) -> str:
    """Return the precision that a text about a tensor names; '' if it names none."""
    return next((word for pattern, word in _TYPES if pattern.search(text)), "")


def nearby(layers: Sequence[BuiltLayer], graph: Sequence[Node]) -> list[tuple[str, ...]]:
    """Return, for each layer without origins, the nodes of those near it, the nearest first."""
    nodes = [Node(one.name, one.kind, "", one.inputs, one.outputs) for one in layers]
    products = {node.name for node in graph if node.kind in PRODUCTS}
    return neighbours(nodes, [one.origins for one in layers], products)


def layer_kernels(layers: Iterable[BuiltLayer], title: str) -> tuple[LayerKernel, ...]:
    """Return the kernel of each product; the engine reports it, as nobody sees it run."""
    return tuple(
        LayerKernel(
            one.origins[0] if one.origins else one.name,
            one.kind,
            one.kernel,
            title,
            precision=one.precision,
            how="reported",
        )
        for one in layers
        if one.is_product
    )
