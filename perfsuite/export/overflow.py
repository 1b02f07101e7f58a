"""Whether sums of two 8-bit products of a graph fit into 16 bits.

x86 processors without VNNI multiply unsigned by signed bytes and add two neighbouring products into
16 bits, which saturate (the instruction VPMADDUBSW: Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.normalize import messages

if TYPE_CHECKING:
    import onnx

LARGEST = 64  # of weights: 2 * 255 * 64 is below 2^15
_ROUND, _RESTORE = "QuantizeLinear", "DequantizeLinear"
# To unsigned bytes always.
_DYNAMIC = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # that read weights second, once restored
# Operators on bytes, with the places of their weights among their inputs.
_ON_BYTES = {
    "ConvInteger": (1,),
    "MatMulInteger": (1,),
    "MatMulIntegerToFloat": (1,),
    "DynamicQuantizeMatMul": (1,),
    "DynamicQuantizeLSTM": (1, 2),
    "QAttention": (1,),
    "QLinearConv": (3,),
    "QLinearMatMul": (3,),
    "QGemm": (3,),
}
# The place of the zero point of activations, if it is another one than in most of them.
_ZERO_POINT, _ZERO_POINTS = 2, {"MatMulIntegerToFloat": 4, "QAttention": 6}
_SAME_VALUES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")


def fits_16_bits(model: onnx.ModelProto) -> bool | None:
    """Return whether any two products of bytes fit; None where there are none, or it is not known.

    It is not known of layers whose weights are not stored as signed bytes, nor where activations
    are signed, for which engines have several ways.
    """
    graph = _Graph(model)
    largest = [graph.largest_weight(node) for node in graph.nodes if graph.is_on_bytes(node)]
    if not largest or not graph.has_unsigned_activations:
        return None
    if any(one is not None and one > LARGEST for one in largest):
        return False
    return None if None in largest else True


class _Graph:
    """The nodes of a model, bodies of control flow included, and what makes each value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import GraphProto, NodeProto

        found = list(messages(model))
        self.nodes = [one for one in found if isinstance(one, NodeProto)]
        self.makers = {name: node for node in self.nodes for name in node.output if name}
        self.constants = {
            tensor.name: tensor
            for graph in found
            if isinstance(graph, GraphProto)
            for tensor in graph.initializer
        }
        for node in self.nodes:
            if node.op_type == "Constant":
                stored = [one.t for one in node.attribute if one.HasField("t")]
                self.constants.update(zip(node.output, stored, strict=False))

    def is_on_bytes(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node has weights in 8 bits, with or without being told so by a pair."""
        if node.op_type in _ON_BYTES:
            return len(node.input) > max(_ON_BYTES[node.op_type])
        return node.op_type in _WEIGHTED and self._restored(node) is not None

    def largest_weight(self, node: onnx.NodeProto) -> int | None:
        """Return the largest absolute weight of such a node; None unless they are signed bytes."""
        restored = self._restored(node)
        if restored is not None:
            return self._largest(restored.input[0])
        found = [self._largest(node.input[place]) for place in _ON_BYTES[node.op_type]]
        known = [one for one in found if one is not None]
        return max(known) if len(known) == len(found) else None

    def _largest(self, name: str) -> int | None:
        from onnx import TensorProto, numpy_helper

        tensor = self.constants.get(self._source(name))
        if tensor is None or tensor.data_type != TensorProto.INT8:
            return None
        values = numpy_helper.to_array(tensor).astype(np.int32)
        return int(np.abs(values).max(initial=0))

    @property
    def has_unsigned_activations(self) -> bool:
        """Tell whether any value is rounded to unsigned bytes in a call."""
        return any(self._rounds_to_unsigned(node) for node in self.nodes)

    def _rounds_to_unsigned(self, node: onnx.NodeProto) -> bool:
        from onnx import TensorProto

        if node.op_type in _DYNAMIC:
            return True
        if node.op_type not in (_ROUND, *_ON_BYTES):
            return False
        if self._source(node.input[0]) in self.constants:
            return False
        asked = next((one.i for one in node.attribute if one.name == "output_dtype"), 0)
        place = _ZERO_POINTS.get(node.op_type, _ZERO_POINT)
        if len(node.input) <= place or not node.input[place]:
            return asked in (0, TensorProto.UINT8)
        zero = self.constants.get(node.input[place])
        return zero is not None and zero.data_type == TensorProto.UINT8

    def _restored(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return the node that restores the weights of `node` from bytes, if one does."""
        if node.op_type not in _WEIGHTED or len(node.input) < 2:
            return None
        maker = self.makers.get(self._source(node.input[1]))
        if maker is None or maker.op_type != _RESTORE:
            return None
        return maker

    def _source(self, name: str) -> str:
        """Return the value that `name` is, but for the order or the shape of its elements."""
        while (maker := self.makers.get(name)) is not None and maker.op_type in _SAME_VALUES:
            name = maker.input[0]
        return name
