"""The weights of an ONNX graph: which of its constants are parameters, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.export.bodies import bodies

if TYPE_CHECKING:
    import onnx

# The inputs, by operator, that are no parameters though constant: scales, zero points, limits,
# running statistics. Integer constants are parameters only as inputs that `QUANTIZED` names.
NOT_PARAMETERS: dict[str, tuple[int, ...]] = {
    "BinaryConv": (3,),
    "BatchNormalization": (3, 4),
    "Clip": (1, 2),
    "DequantizeLinear": (1, 2),
    "DynamicQuantizeLSTM": (8, 9, 10, 11),
    "DynamicQuantizeMatMul": (2, 3),
    "MatMulIntegerToFloat": (2, 3, 4, 5),
    "MatMulNBits": (2, 3),
    "Pad": (1, 2, 3),
    "QAttention": (3, 4, 6, 7),
    "QGemm": (1, 2, 4, 5, 7, 8),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "Resize": (1, 2, 3),
    "Upsample": (1,),
}
QUANTIZED: dict[str, tuple[int, ...]] = {
    "BinaryConv": (2,),
    "ConvInteger": (1,),
    "DequantizeLinear": (0,),
    "DynamicQuantizeLSTM": (1, 2),
    "DynamicQuantizeMatMul": (1,),
    "MatMulInteger": (1,),
    "MatMulIntegerToFloat": (1,),
    "MatMulNBits": (1,),
    "QAttention": (1,),
    "QGemm": (3, 6),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
}


class _Constant(NamedTuple):
    """A constant: the name that readers outside of its subgraph know it by, and its kind."""

    key: str
    dims: tuple[int, ...]
    data_type: int


def weights(graph: onnx.GraphProto) -> dict[str, tuple[int, int]]:
    """Return (number of elements, index of the first reader) of each weight and bias, by name.

    Those of subgraphs are among them, read by the node of `graph` that has the subgraph. Indices,
    shapes, scales, zero points, running statistics and scalars are left out.
    """
    found: dict[str, tuple[int, int]] = {}
    outer = _constants(graph, "")
    for index, node in enumerate(graph.node):
        for key, elements in _read(node, outer, f"{index}"):
            found.setdefault(key, (elements, index))
    return found


def _read(
    node: onnx.NodeProto, seen: dict[str, _Constant], where: str
) -> Iterator[tuple[str, int]]:
    """Yield the name and number of elements of each parameter that a node or its subgraphs read."""
    for place, name in enumerate(node.input):
        constant = seen.get(name)
        if constant is not None and _is_parameter(node.op_type, place, constant):
            yield constant.key, _elements(node, constant)
    for number, inner in enumerate(bodies(node)):
        inside = f"{where}.{number}"
        names = {**seen, **_constants(inner, f" in {inside}")}
        for index, one in enumerate(inner.node):
            yield from _read(one, names, f"{inside}.{index}")


def _elements(node: onnx.NodeProto, constant: _Constant) -> int:
    if node.op_type == "MatMulNBits":  # its weights are packed into bytes
        sides = {one.name: one.i for one in node.attribute}
        return int(sides["K"] * sides["N"])
    if node.op_type == "BinaryConv" and len(constant.dims) > 1:
        channels = next(one.i for one in node.attribute if one.name == "channels")
        return int(prod(constant.dims[:3]) * channels)  # (M, kh, kw, bytes of 8 channels)
    return prod(constant.dims)


def _constants(graph: onnx.GraphProto, suffix: str) -> dict[str, _Constant]:
    """Return the initializers and the tensors of `Constant` nodes, by the names of their values."""
    import onnx

    found = {
        one.name: _Constant(one.name + suffix, tuple(one.dims), one.data_type)
        for one in graph.initializer
    }
    for one in graph.sparse_initializer:
        name, kind = one.values.name, one.values.data_type
        found[name] = _Constant(name + suffix, tuple(one.dims), kind)
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        name = node.output[0]
        for attribute in node.attribute:
            if attribute.name == "value":
                dims, kind = tuple(attribute.t.dims), attribute.t.data_type
            elif attribute.name == "sparse_value":
                dims = tuple(attribute.sparse_tensor.dims)
                kind = attribute.sparse_tensor.values.data_type
            elif attribute.name == "value_floats":
                dims, kind = (len(attribute.floats),), onnx.TensorProto.FLOAT
            else:  # a number, integers or texts
                continue
            found[name] = _Constant(name + suffix, dims, kind)
    return found


def _is_parameter(op_type: str, place: int, constant: _Constant) -> bool:
    import onnx

    if not constant.dims or place in NOT_PARAMETERS.get(op_type, ()):
        return False
    floating = constant.data_type in (
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    )
    return floating or place in QUANTIZED.get(op_type, ())
