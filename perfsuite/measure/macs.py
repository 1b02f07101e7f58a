"""Multiply-accumulates and parameters of a model: of an ONNX graph, or of a torch module.

Only products of activations with weights or with each other count, and biases do not, as is usual
for MACs (Sze et al., "Efficient processing of deep neural networks", 2017, IV). What could not be
counted is part of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError

if TYPE_CHECKING:
    import onnx
    from torch import nn

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


class Macs(msgspec.Struct, frozen=True):
    """`uncounted` maps operators that may compute, but have no formula here, to their number."""

    macs: int
    parameters: int
    uncounted: dict[str, int]


def count_graph(model: Path | str | onnx.ModelProto) -> Macs:
    """Return the MACs for one sample (every dynamic axis is set to 1) and the parameters.

    Parameters are the elements of all weights and biases, each once, quantized or not; indices,
    shapes, scales, zero points, running statistics and scalars are none. Raises `ConfigError` for
    what is no ONNX model. A node whose shapes cannot be inferred is `uncounted`.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not isinstance(model, onnx.ModelProto):
        try:
            model = onnx.load(str(model))
        except (OSError, DecodeError) as err:
            raise ConfigError(f"{model}: cannot be read as an ONNX model: {err}") from err
    if not model.ir_version:
        raise ConfigError("this is not an ONNX model: it has no IR version (an empty file?)")
    graph, shapes = _inferred(model)
    macs, uncounted = 0, Counter[str]()
    for node in graph.node:
        name = f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else ""
        name = name or node.op_type
        if name in NO_MACS:
            continue
        try:
            macs += MACS[name](node, shapes)
        except KeyError:  # an operator without a formula, or a tensor without a shape
            uncounted[name] += 1
    return Macs(macs, _parameters(graph), dict(uncounted))


def count_module(module: nn.Module, inputs: Inputs) -> Macs:
    """Return the MACs of one call with `inputs`, in their order, and the parameters.

    Give inputs of batch 1 for the MACs of one sample. Counts what torch's own counter does:
    convolutions, matrix products, attention; others are taken as free. The module runs once in
    evaluation mode and is left as it was.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*(torch.from_numpy(array) for array in inputs.values()))
    finally:
        for part, training in modes:
            part.training = training
    parameters = sum(tensor.numel() for tensor in module.parameters())
    return Macs(counter.get_total_flops() // 2, parameters, {})


def _inferred(model: onnx.ModelProto) -> tuple[onnx.GraphProto, Shapes]:
    """Return the graph for one sample, functions expanded, and the shapes of its tensors."""
    import onnx
    from onnx import inliner

    one = onnx.ModelProto()
    one.CopyFrom(model)
    if one.functions:
        one = inliner.inline_local_functions(one)
    del one.graph.value_info[:]  # they may still speak of dynamic axes
    for value in one.graph.input:
        for side in value.type.tensor_type.shape.dim:
            if not side.HasField("dim_value") or side.dim_value < 1:
                side.dim_value = 1
    graph = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sides = kind.shape.dim
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in sides):
            shapes.setdefault(value.name, tuple(side.dim_value for side in sides))
    return graph, shapes


# Formulas: from a node and the shapes of all tensors to MACs.


def _convolution(weight: int) -> Callable[[onnx.NodeProto, Shapes], int]:
    """Per output element one product with each weight of its filter: (M, C / groups, kernel)."""
    return lambda node, shapes: prod(shapes[node.output[0]]) * prod(shapes[node.input[weight]][1:])


def _transposed(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per input element one product with each weight of its filter: (C, M / groups, kernel)."""
    return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _matrices(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per output element a scalar product along the last axis of the first factor."""
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: onnx.NodeProto, shapes: Shapes) -> int:
    first = 0 if any(a.name == "transA" and a.i for a in node.attribute) else 1
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][first]


MACS: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    "Conv": _convolution(weight=1),
    "ConvInteger": _convolution(weight=1),
    "QLinearConv": _convolution(weight=3),
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _matrices,
    "MatMulInteger": _matrices,
    "QLinearMatMul": _matrices,
}

_FREE = """
arithmetic-by-element:
    Abs Add And Ceil Cos Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN Less
    LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow Reciprocal Round Sign Sin Sqrt Sub Sum
    Tan Where Xor
activations:
    Celu Clip Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu
    Shrink Sigmoid Softmax Softplus Softsign Swish Tanh ThresholdedRelu
normalization-pooling-reduction:
    BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization
    LpNormalization MeanVarianceNormalization RMSNormalization
    AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool
    ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare TopK
shapes-movement-constants:
    Cast CastLike CenterCropPad Compress Concat Constant ConstantOfShape DepthToSpace Dropout
    Expand EyeLike Flatten Gather GatherElements GatherND Identity NonZero OneHot Pad Range
    Reshape Resize ScatterElements ScatterND Shape Size Slice SpaceToDepth Split Squeeze Tile
    Transpose Trilu Unsqueeze Upsample
quantization-and-boxes:
    DequantizeLinear DynamicQuantizeLinear QuantizeLinear NonMaxSuppression RoiAlign
"""
NO_MACS = frozenset(word for word in _FREE.split() if not word.endswith(":"))

# Inputs, by operator, that are constants but not parameters: scales, zero points, limits, running
# statistics. Integers are parameters only where one of `QUANTIZED` says so.
NOT_PARAMETERS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (3, 4),
    "Clip": (1, 2),
    "DequantizeLinear": (1, 2),
    "Pad": (1, 2, 3),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
}
QUANTIZED: dict[str, tuple[int, ...]] = {
    "ConvInteger": (1,),
    "DequantizeLinear": (0,),
    "MatMulInteger": (1,),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
}


def _parameters(graph: onnx.GraphProto) -> int:
    """Return the number of elements of the constants that are used as weights or biases."""
    constants = {tensor.name: tensor for tensor in _constants(graph)}
    used = {
        name
        for node in graph.node
        for place, name in enumerate(node.input)
        if name in constants and _is_parameter(node.op_type, place, constants[name])
    }
    return sum(prod(constants[name].dims) for name in used)


def _constants(graph: onnx.GraphProto) -> Iterator[Any]:
    """Yield the initializers, and the tensors of `Constant` nodes under their outputs' names."""
    import onnx

    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                tensor = onnx.TensorProto()
                tensor.CopyFrom(attribute.t)
                tensor.name = node.output[0]
                yield tensor


def _is_parameter(op_type: str, place: int, tensor: onnx.TensorProto) -> bool:
    import onnx

    if not tensor.dims or place in NOT_PARAMETERS.get(op_type, ()):
        return False
    floating = tensor.data_type in (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    )
    return floating or place in QUANTIZED.get(op_type, ())
