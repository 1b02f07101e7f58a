"""Pointwise convolutions with a stride read every second pixel by a pooling of their own.

Where all that reads a value steps over pixels, as the first layers of a ResNet's stages do in its
first version, OpenVINO (2026.4) moves the stride before the value is rounded, and then computes
these layers in float.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfsuite.export.bodies import names_made, unused_name
from perfsuite.export.parts import part_of

if TYPE_CHECKING:
    import onnx

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set


def with_pooled_steps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which no pointwise layer steps over rounded pixels.

    That is where a value is restored for such layers alone, with one stride for all.
    """
    if not _stepping(model.graph):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    taken = names_made(copy.graph)
    for value, layers in _stepping(copy.graph).items():
        _pool(copy.graph, value, layers, taken)
    return copy


def _stepping(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the layers that step over each restored value."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    sides = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    restored = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    found = {
        value: layers
        for value in restored
        if (layers := readers[value])
        and all(layer.input[0] == value and _steps(layer, restored, sides) for layer in layers)
        and len({str(_ints(layer, "strides")) for layer in layers}) == 1
    }
    return {value: found[value] for value in found if _alone(restored[value], readers, found)}


def _alone(
    rounded: str,
    readers: dict[str, list[onnx.NodeProto]],
    found: dict[str, list[onnx.NodeProto]],
) -> bool:
    """Tell whether whatever restores a rounded value does so for stepping layers."""
    return all(node.output[0] in found for node in readers[rounded])


def _steps(
    node: onnx.NodeProto, restored: dict[str, str], sides: dict[str, tuple[int, ...]]
) -> bool:
    """Tell whether a node is a convolution with rounded weights of one pixel, and a stride."""
    if node.op_type != "Conv" or node.domain not in _ONNX:
        return False
    kernel = sides.get(restored.get(node.input[1], ""), ())[2:]
    strides, pads = _ints(node, "strides"), _ints(node, "pads")
    automatic = any(one.name == "auto_pad" and one.s == b"SAME_LOWER" for one in node.attribute)
    if not kernel or any(side != 1 for side in kernel) or any(pads) or automatic:
        return False
    return max(strides, default=1) > 1


def _ints(node: onnx.NodeProto, name: str) -> list[int]:
    return next((list(one.ints) for one in node.attribute if one.name == name), [])


def _pool(
    graph: onnx.GraphProto, value: str, layers: list[onnx.NodeProto], taken: set[str]
) -> None:
    """Let layers read what a pooling of single pixels, with their stride, gives."""
    from onnx import helper

    name = unused_name(part_of(layers[0], "step"), taken)
    strides = _ints(layers[0], "strides")
    pool = helper.make_node(
        "MaxPool", [value], [name], name, kernel_shape=[1] * len(strides), strides=strides
    )
    graph.node.insert(list(graph.node).index(layers[0]), pool)
    for layer in layers:
        layer.input[0] = name
        stride = next(one for one in layer.attribute if one.name == "strides")
        stride.ints[:] = [1] * len(strides)
