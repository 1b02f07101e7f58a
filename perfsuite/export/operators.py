"""The shapes, multiply-accumulates (MACs) and weights of an ONNX graph's nodes.

MACs are products of activations with weights or with each other; biases are not counted, as is
usual (Sze et al., "Efficient processing of deep neural networks", 2017, IV).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


class Inferred(NamedTuple):
    """A graph with functions expanded, and its tensors' shapes and bytes per element, by name.

    A tensor whose shape cannot be inferred is missing.
    """

    graph: onnx.GraphProto
    shapes: Shapes
    widths: dict[str, int]


def infer(model: onnx.ModelProto, batch: int, rest: int | None = None) -> Inferred:
    """Return the graph with shapes inferred for inputs of `batch` samples.

    Other dynamic axes are set to `rest`; with None they stay unknown. `model` is not changed.
    """
    import onnx
    from onnx import inliner

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if copy.functions:
        copy = inliner.inline_local_functions(copy)
    del copy.graph.value_info[:]  # they may have dynamic axes
    for value in copy.graph.input:
        for axis, side in enumerate(value.type.tensor_type.shape.dim):
            length = batch if axis == 0 or side.dim_param == "batch" else rest
            if length is not None and (not side.HasField("dim_value") or side.dim_value < 1):
                side.dim_value = length
    inferred = _inferred(copy)
    if all(name in inferred.shapes for node in inferred.graph.node for name in node.output if name):
        return inferred
    folded = _folded(copy)
    return Inferred(
        inferred.graph, {**folded.shapes, **inferred.shapes}, {**folded.widths, **inferred.widths}
    )


def _inferred(model: onnx.ModelProto) -> Inferred:
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    widths = {tensor.name: _width(tensor.data_type) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sides = kind.shape.dim
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in sides):
            shapes.setdefault(value.name, tuple(side.dim_value for side in sides))
        if kind.elem_type:
            widths.setdefault(value.name, _width(kind.elem_type))
    return Inferred(graph, shapes, widths)


def _folded(model: onnx.ModelProto) -> Inferred:
    """Return what can be inferred after folding constants, such as shapes computed in the graph."""
    import onnx_ir as ir
    from onnxscript.optimizer import fold_constants

    try:
        copy = ir.from_proto(model)  # which takes no maps
        fold_constants(copy, onnx_shape_inference=True)
    except Exception as error:  # noqa: BLE001  (it raises whatever an operator raises)
        warnings.warn(
            f"shapes that the graph computes stay unknown, and what depends on them is not "
            f"counted: {type(error).__name__}: {error}",
            stacklevel=4,
        )
        return _inferred(model)
    return _inferred(ir.to_proto(copy))


def _width(data_type: int) -> int:
    from onnx import helper

    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)


def operator_name(node: onnx.NodeProto) -> str:
    """Return the operator's name, with its domain if that is not ONNX's: `com.example::Mystery`."""
    standard = node.domain in ("", "ai.onnx")
    return str(node.op_type) if standard else f"{node.domain}::{node.op_type}"


def node_macs(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """Return the MACs of one node; None if its operator has no formula or a shape is missing."""
    name = operator_name(node)
    if name in NO_MACS:
        return 0
    try:
        return MACS[name](node, shapes)
    except KeyError:  # an operator without a formula, or a tensor without a shape
        return None


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


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per step and sample one product with each weight: of the input, (directions, gates x H, I),
    and of the state before, (directions, gates x H, H). The first two axes are steps and samples.
    """
    weights = prod(shapes[node.input[1]]) + prod(shapes[node.input[2]])
    return prod(shapes[node.input[0]][:2]) * weights


def _sampled(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Per value one product with each neighbour in each direction: the grid weights them."""
    mode = next((one.s.decode() for one in node.attribute if one.name == "mode"), "linear")
    neighbours: int = {"nearest": 0, "cubic": 4, "bicubic": 4}.get(mode, 2)
    output = shapes[node.output[0]]
    products: int = neighbours ** (len(output) - 2)
    return prod(output) * products


MACS: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    "Conv": _convolution(weight=1),
    "ConvInteger": _convolution(weight=1),
    "QLinearConv": _convolution(weight=3),
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _matrices,
    "MatMulInteger": _matrices,
    "QLinearMatMul": _matrices,
    "GRU": _recurrent,
    "GridSample": _sampled,
    "LSTM": _recurrent,
    "RNN": _recurrent,
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

# The inputs, by operator, that are no parameters though constant: scales, zero points, limits,
# running statistics. Integer constants are parameters only as inputs that `QUANTIZED` names.
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


def weights(graph: onnx.GraphProto) -> dict[str, tuple[int, int]]:
    """Return (number of elements, index of the first reader) of each weight and bias, by name.

    Indices, shapes, scales, zero points, running statistics and scalars are left out.
    """
    constants = {tensor.name: tensor for tensor in _constants(graph)}
    found: dict[str, tuple[int, int]] = {}
    for index, node in enumerate(graph.node):
        for place, name in enumerate(node.input):
            tensor = constants.get(name)
            if tensor is not None and _is_parameter(node.op_type, place, tensor):
                found.setdefault(name, (prod(tensor.dims), index))
    return found


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
