"""The precisions below fp32 that a graph has by itself, such as a file that is INT8 already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.export.binary_operator import is_binary_conv
from perfsuite.export.nodes import VIEWS
from perfsuite.export.normalize import messages

if TYPE_CHECKING:
    import onnx

BINARY = "binary"
_ROUND = "QuantizeLinear"
_RESTORE = "DequantizeLinear"
_CASTS = ("Cast", "CastLike")
_SHAPES = (*VIEWS, "Transpose")  # which change no value
_OPTIONAL = ""  # the name of an input that is left out
# Operators on 8-bit integers: of ONNX, and those that ONNX Runtime adds.
_INTEGER = ("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "QGemm", "QAttention",
            "QEmbedLayerNormalization")  # fmt: skip
_INTEGER_FAMILIES = ("QLinear", "DynamicQuantize", "QOrdered")
# Operators that read packed integers as weights and compute in float.
_PACKED = ("MatMulNBits", "MatMulBnb4", "GatherBlockQuantized")
_COMPUTES_IN_INT8 = 4  # the accuracy level of MatMulNBits that rounds its activations too
_RANDOM = ("RandomNormal", "RandomUniform", "Multinomial", "Bernoulli", "RandomNormalLike",
           "RandomUniformLike")  # fmt: skip


class OwnPrecisions(NamedTuple):
    """The precisions that a graph has without being asked for them, each in sorted order.

    `values` are those that values are rounded to in a call, `weights` those in which weights alone
    are stored, to be restored before they are used.
    """

    values: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what is told of a cell of such a graph; of a binary one its kernels tell it."""
        return (
            *(f"{one} already" for one in self.values if one != BINARY),
            *(f"{one} weights already" for one in self.weights if one not in self.values),
        )


def own_precisions(model: onnx.ModelProto) -> OwnPrecisions:
    """Return the precisions of values and of weights, bodies of control flow included.

    A value is rounded where QuantizeLinear or a Cast changes what is no constant, where an operator
    computes on 8-bit integers, and in fp16 and bf16 where an operator other than a Cast reads a
    constant or an input of that type. A binary convolution rounds to signs: "binary". A Cast of an
    answer is no such Cast, as nothing is computed with its result.
    """
    graph = _Graph(model)
    values: set[str] = set()
    weights: set[str] = set()
    for node in graph.nodes:
        rounds, stores = graph.add(node)
        values |= rounds
        weights |= stores
    return OwnPrecisions(tuple(sorted(values)), tuple(sorted(weights)))


class _Graph:
    """The types of constants and inputs, by name, as far as the nodes were seen."""

    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import GraphProto, NodeProto

        found = list(messages(model))
        self.nodes = [one for one in found if isinstance(one, NodeProto)]
        graphs = [one for one in found if isinstance(one, GraphProto)]
        self.constants = {
            tensor.name: tensor.data_type for graph in graphs for tensor in graph.initializer
        }
        self.inputs = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
        self.used = _used(self.nodes, graphs[1:])
        self.words = _words()

    def add(self, node: onnx.NodeProto) -> tuple[set[str], set[str]]:
        """Return the precisions of values that a node rounds, and of weights that it restores."""
        read = [name for name in node.input if name != _OPTIONAL]
        if self._is_constant(node, read):
            self._fold(node, read)
            return set(), self._stored(node, read)
        rounds, stores = set[str](), self._stored(node, read)
        if is_binary_conv(node):
            rounds.add(BINARY)
        elif node.op_type == _ROUND:
            rounds.add(self._rounded_to(node))
        elif _computes_in_integers(node):
            rounds.add("int8")
        elif node.op_type == "Cast":
            if node.output[0] in self.used:
                rounds |= self._half(int(_attribute(node, "to") or 0))
        elif node.op_type not in (*_CASTS, _RESTORE):
            for name in read:
                rounds |= self._half(self.constants.get(name, self.inputs.get(name, 0)))
        return rounds, stores

    def _is_constant(self, node: onnx.NodeProto, read: list[str]) -> bool:
        """Tell whether a node's results follow from constants alone, also those of a Constant."""
        if node.op_type in _RANDOM or any(one.HasField("g") for one in node.attribute):
            return False
        return node.op_type == "Constant" or (
            bool(read) and all(name in self.constants for name in read)
        )

    def _fold(self, node: onnx.NodeProto, read: list[str]) -> None:
        if node.op_type == "Constant":
            tensor = next((one.t for one in node.attribute if one.HasField("t")), None)
            kind = tensor.data_type if tensor is not None else 0
        elif node.op_type == "Cast":
            kind = int(_attribute(node, "to") or 0)
        elif node.op_type == _RESTORE:
            kind = self.constants[read[1]] if len(read) > 1 else 0
        elif node.op_type == _ROUND:
            kind = self._rounding_type(node)
        else:
            kind = self.constants[read[0]] if read else 0
        self.constants.update(dict.fromkeys(node.output, kind))

    def _stored(self, node: onnx.NodeProto, read: list[str]) -> set[str]:
        """Return the precision of the weights that a node restores, if it does."""
        kind = self.constants.get(read[0], 0) if read else 0
        if node.op_type == _RESTORE:
            return {self.words[kind]} if kind in self.words else set()
        if node.op_type in _PACKED:
            return {f"int{int(_attribute(node, 'bits') or 4)}"}
        return self._half(kind) if node.op_type in _CASTS else set()

    def _rounded_to(self, node: onnx.NodeProto) -> str:
        return self.words.get(self._rounding_type(node), "int8")

    def _rounding_type(self, node: onnx.NodeProto) -> int:
        zero = node.input[2] if len(node.input) > 2 else _OPTIONAL
        return self.constants.get(zero, 0) or int(_attribute(node, "output_dtype") or 0)

    def _half(self, kind: int) -> set[str]:
        word = self.words.get(kind, "")
        return {word} if word in ("fp16", "bf16") else set()


def _used(nodes: Sequence[onnx.NodeProto], bodies: Sequence[onnx.GraphProto]) -> set[str]:
    """Return the names of values that are read for more than to be given in another shape."""
    used = {value.name for body in bodies for value in body.output}
    for node in reversed(nodes):  # in which whatever is read comes first
        if node.op_type not in _SHAPES or not used.isdisjoint(node.output):
            used.update(node.input)
    return used


def _computes_in_integers(node: onnx.NodeProto) -> bool:
    if node.op_type == "MatMulNBits":
        return _attribute(node, "accuracy_level") == _COMPUTES_IN_INT8
    return node.op_type in _INTEGER or node.op_type.startswith(_INTEGER_FAMILIES)


def _attribute(node: onnx.NodeProto, name: str) -> int | None:
    return next((one.i for one in node.attribute if one.name == name), None)


def _words() -> dict[int, str]:
    """Return the precision of each of ONNX's types that is below fp32; int32 sums are none."""
    from onnx import TensorProto

    words = {
        "UINT8": "int8", "INT8": "int8", "UINT16": "int16", "INT16": "int16",
        "UINT4": "int4", "INT4": "int4", "UINT2": "int2", "INT2": "int2",
        "FLOAT8E4M3FN": "fp8", "FLOAT8E4M3FNUZ": "fp8", "FLOAT8E5M2": "fp8",
        "FLOAT8E5M2FNUZ": "fp8", "FLOAT4E2M1": "fp4", "FLOAT16": "fp16", "BFLOAT16": "bf16",
    }  # fmt: skip
    known = TensorProto.DataType.items()
    return {number: words[name] for name, number in known if name in words}
