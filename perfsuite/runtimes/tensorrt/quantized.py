"""Q/DQ pairs in the form that TensorRT takes: signed, symmetric, and no quantized biases.

perfsuite's own pass writes this form where the runtime asks for it. A file that somebody else has
quantized may have biases in int32, which are restored to float, and zero points, which must be 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.errors import Unsupported
from perfsuite.export.bodies import names_read

if TYPE_CHECKING:
    import onnx

_PAIR = ("QuantizeLinear", "DequantizeLinear")
_ADVICE = (
    "quantize the float model with perfsuite's int8, which writes what this engine takes, or, in "
    "onnxruntime.quantization, with ActivationSymmetric, WeightSymmetric and signed types"
)


def explicit(model: onnx.ModelProto, engine: str) -> onnx.ModelProto:
    """Return `model`, or a copy of it whose quantized biases are float again.

    Raises `Unsupported` for pairs that are unsigned or not symmetric.
    """
    from onnx import TensorProto

    if not any(node.op_type in _PAIR for node in model.graph.node):
        return model
    made = type(model)()
    made.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in made.graph.initializer}
    kept = []
    for node in made.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            tensor = constants[node.input[0]]
            if tensor.data_type == TensorProto.INT32:
                made.graph.initializer.append(_restored(node, constants))
                continue
        if node.op_type in _PAIR:
            _check(node, constants, engine)
        kept.append(node)
    del made.graph.node[:]
    made.graph.node.extend(kept)
    _drop_unused(made.graph)
    return made


def _check(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], engine: str) -> None:
    from onnx import TensorProto, numpy_helper

    zero = constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    asked = {one.name: one.i for one in node.attribute}.get("output_dtype", 0)
    kind = zero.data_type if zero is not None else asked
    if node.op_type == "QuantizeLinear" and not kind:
        kind = TensorProto.UINT8  # what ONNX means where nothing is told
    if kind in (TensorProto.UINT8, TensorProto.UINT16):
        raise Unsupported(
            f"{engine} rounds to signed integers alone, and '{node.name}' to others; {_ADVICE}"
        )
    if zero is not None and numpy_helper.to_array(zero).any():
        raise Unsupported(
            f"{engine} takes zero points of 0 alone, and '{node.name}' has another; {_ADVICE}"
        )


def _restored(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> onnx.TensorProto:
    """Return the float values of a bias in int32, which its two scales restore exactly enough."""
    from onnx import numpy_helper

    values, scale = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
    restored = values.astype(np.float64) * scale.astype(np.float64)
    return numpy_helper.from_array(restored.astype(np.float32), node.output[0])


def _drop_unused(graph: onnx.GraphProto) -> None:
    read = names_read(graph) | {value.name for value in graph.output}
    kept = [one for one in graph.initializer if one.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
