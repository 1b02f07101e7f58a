"""Which nodes our kernels compute, and in which form: a step, an operation on it, or a view."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perfsuite.export.binary_operator import ConvGeometry, geometry_of, is_binary_conv
from perfsuite.runtimes.binary.graph import Graph, attributes
from perfsuite.runtimes.binary.layout import MOST_TAPS
from perfsuite.runtimes.binary.plan import WHOLE, OpKind, StepKind

if TYPE_CHECKING:
    import onnx

Floats = npt.NDArray[np.float32]
_POINT = ConvGeometry((1, 1))
_MOST_TERMS = 4096  # of a sum of a real convolution: beyond, ONNX Runtime's kernels are better


@dataclass(frozen=True)
class StepForm:
    """A node that begins a step."""

    kind: StepKind
    source: str
    geometry: ConvGeometry = _POINT
    weights: npt.NDArray[Any] | None = None
    scale: Floats | None = None
    shift: Floats | None = None
    threshold: Floats | None = None
    count_padding: bool = False


@dataclass(frozen=True)
class OpForm:
    """A node that changes each number of a value by those of its channel."""

    kind: OpKind
    value: str
    numbers: tuple[Floats, ...] = ()


@dataclass(frozen=True)
class AddForm:
    """A sum of two values."""

    values: tuple[str, str]


@dataclass(frozen=True)
class JoinForm:
    """Values whose channels come one after the other."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class ViewForm:
    """The same numbers under another name, in as many or fewer dimensions."""

    value: str


Form = StepForm | OpForm | AddForm | JoinForm | ViewForm


@dataclass
class Forms:
    """The forms of a graph's nodes, by name; None for those that our kernels do not compute."""

    graph: Graph
    found: dict[str, Form | None] = field(default_factory=dict)

    def of(self, node: onnx.NodeProto) -> Form | None:
        """Return the form of a node."""
        if node.name not in self.found:
            self.found[node.name] = self._form(node)
        return self.found[node.name]

    def _form(self, node: onnx.NodeProto) -> Form | None:
        if is_binary_conv(node):
            return self._binary(node)
        if node.domain not in ("", "ai.onnx") or not node.input:
            return None
        if self.graph.channels(node.output[0]) is None:
            return None
        make = _MAKERS.get(node.op_type)
        return None if make is None else make(self.graph, node)

    def _binary(self, node: onnx.NodeProto) -> StepForm | None:
        channels, geometry = geometry_of(node)
        stored = [self.graph.constants.get(name) for name in node.input[1:]]
        if self.graph.channels(node.input[0]) is None or any(one is None for one in stored):
            return None
        threshold, weights, scale = stored
        if geometry.kernel_shape[1] > MOST_TAPS:
            return None
        assert threshold is not None and weights is not None and scale is not None
        every = (channels * geometry.group,)
        return StepForm(
            "binary",
            node.input[0],
            geometry,
            weights,
            np.broadcast_to(scale.reshape(-1), weights.shape[:1]),
            np.zeros(len(weights), np.float32),
            np.broadcast_to(threshold.reshape(-1), every),
        )


def needs(forms: Forms, node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the values that a node reads where it is computed; constants may be among them."""
    form = forms.of(node)
    if isinstance(form, StepForm):
        return (form.source,)
    if isinstance(form, OpForm | ViewForm):
        return (form.value,)
    if isinstance(form, AddForm | JoinForm):
        return form.values
    return tuple(dict.fromkeys(taken(node)))


def taken(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what a node reads, in the bodies of its control flow too."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            made = {name for inner in body.node for name in inner.output}
            made |= {one.name for one in (*body.input, *body.initializer)}
            for inner in body.node:
                yield from (name for name in taken(inner) if name not in made)
            yield from (one.name for one in body.output if one.name not in made)


def _convolution(graph: Graph, node: onnx.NodeProto) -> StepForm | None:
    found, weights = attributes(node), graph.constants.get(node.input[1])
    geometry = _geometry(found, weights)
    if weights is None or geometry is None or geometry.group != 1 or weights.dtype != np.float32:
        return None
    bias = graph.constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if len(node.input) > 2 and node.input[2] and bias is None:
        return None
    return _real(graph, node.input[0], weights, bias, geometry)


def _real(
    graph: Graph,
    source: str,
    weights: npt.NDArray[Any],
    bias: npt.NDArray[Any] | None,
    geometry: ConvGeometry,
) -> StepForm | None:
    if graph.channels(source) is None or weights[0].size > _MOST_TERMS:
        return None
    ones, zeros = np.ones(len(weights), np.float32), np.zeros(len(weights), np.float32)
    return StepForm("real", source, geometry, weights, ones, zeros if bias is None else bias)


def _geometry(
    found: dict[str, Any], weights: npt.NDArray[Any] | None = None
) -> ConvGeometry | None:
    """Return the geometry that attributes tell, if they are of two dimensions and plain."""
    kernel = found.get("kernel_shape", None if weights is None else weights.shape[2:])
    if kernel is None or len(kernel) != 2:
        return None
    if found.get("auto_pad", "NOTSET") != "NOTSET":
        return None
    return ConvGeometry(
        _two(kernel),
        _two(found.get("strides", (1, 1))),
        tuple(found.get("pads", (0, 0, 0, 0))),
        _two(found.get("dilations", (1, 1))),
        found.get("group", 1),
    )


def _two(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)


def _product(graph: Graph, node: onnx.NodeProto) -> StepForm | None:
    """Return a matrix product as a convolution over all of a picture."""
    found, weights = attributes(node), graph.constants.get(node.input[1])
    if weights is None or weights.ndim != 2 or weights.dtype != np.float32 or found.get("transA"):
        return None
    weights = weights if found.get("transB") else weights.T
    weights = np.float32(found.get("alpha", 1.0)) * weights
    bias = None
    if len(node.input) > 2 and node.input[2]:
        given = graph.per_channel(node.input[2], node.output[0])
        if given is None:
            return None
        bias = np.float32(found.get("beta", 1.0)) * given
    source, sides = _flattened(graph, node.input[0])
    if sides is None:
        return None
    filters = weights.reshape(len(weights), -1, *sides)
    return _real(graph, source, filters, bias, ConvGeometry(sides))


def _flattened(graph: Graph, name: str) -> tuple[str, tuple[int, int] | None]:
    """Return the picture that a value of two dimensions is made of, and its sides.

    It is the value itself, with sides of 1, if it is no flattened picture.
    """
    for node in graph.nodes:
        if name in node.output and node.op_type in ("Flatten", "Reshape"):
            shape = graph.shape(node.input[0])
            if shape is not None and len(shape) == 4 and graph.channels(node.input[0]) is not None:
                rows, columns = shape[2:]
                known = None if rows is None or columns is None else (rows, columns)
                return node.input[0], known
    return name, (1, 1) if graph.rank(name) == 2 else None


def _view(graph: Graph, node: onnx.NodeProto) -> ViewForm | None:
    """Return a view of what keeps its numbers in their order: sides of 1 go, or pictures that only
    products read, which know the pictures.
    """
    source, result = node.input[0], node.output[0]
    before, after = graph.shape(source), graph.shape(result)
    if before is None or after is None or graph.channels(source) is None:
        return None
    if len(before) == len(after):
        return ViewForm(source) if before[1:] == after[1:] else None
    if len(before) != 4 or len(after) != 2:
        return None
    if before[2:] == (1, 1):
        return ViewForm(source) if before[1] == after[1] else None
    readers = graph.readers.get(result, [])
    products = all(
        one.op_type in ("Gemm", "MatMul") and _product(graph, one) is not None for one in readers
    )
    if result in graph.outputs or not readers or not products or node.op_type == "Squeeze":
        return None
    sides = before[1:]
    whole = None if None in sides else math.prod(filter(None, sides))
    return ViewForm(source) if whole == after[1] else None


def _same(graph: Graph, node: onnx.NodeProto) -> ViewForm | None:
    return ViewForm(node.input[0]) if graph.channels(node.input[0]) is not None else None


def _pool(graph: Graph, node: onnx.NodeProto) -> StepForm | None:
    found = attributes(node)
    geometry = _geometry(found)
    if geometry is None or graph.channels(node.input[0]) is None or len(node.output) > 1:
        return None
    if found.get("ceil_mode") and not _whole_windows(graph, node, geometry):
        return None
    kind: StepKind = "max" if node.op_type == "MaxPool" else "mean"
    counted = bool(found.get("count_include_pad"))
    return StepForm(kind, node.input[0], geometry, count_padding=counted)


def _whole_windows(graph: Graph, node: onnx.NodeProto, geometry: ConvGeometry) -> bool:
    """Tell whether rounding up the number of windows is known to make no difference."""
    before, after = graph.shape(node.input[0]), graph.shape(node.output[0])
    if before is None or after is None or None in before[2:]:
        return False
    height, width = (int(side or 0) for side in before[2:])
    return after[2:] == geometry.output_size(height, width)


def _whole_pool(graph: Graph, node: onnx.NodeProto) -> StepForm | None:
    if graph.rank(node.input[0]) != 4 or graph.channels(node.input[0]) is None:
        return None
    if node.op_type == "ReduceMean":
        axes = attributes(node).get("axes")
        if axes is None and len(node.input) > 1:
            axes = graph.constants.get(node.input[1])
        if axes is None or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
            return None
    kind: StepKind = "max" if node.op_type == "GlobalMaxPool" else "mean"
    return StepForm(kind, node.input[0], ConvGeometry(WHOLE))


def _norm(graph: Graph, node: onnx.NodeProto) -> OpForm | None:
    found = attributes(node)
    stored = [graph.constants.get(name) for name in node.input[1:5]]
    if found.get("training_mode") or any(one is None for one in stored):
        return None
    gamma, beta, mean, variance = (np.float64(one) for one in stored)
    factor = gamma / np.sqrt(variance + found.get("epsilon", 1e-5))
    return OpForm("affine", node.input[0], _floats(factor, beta - mean * factor))


def _arithmetic(graph: Graph, node: onnx.NodeProto) -> OpForm | AddForm | None:
    one, other = node.input
    kind = node.op_type
    if one in graph.constants and kind in ("Add", "Mul", "Sub"):
        numbers, value, turned = graph.per_channel(one, other), other, kind == "Sub"
    elif other in graph.constants:
        numbers, value, turned = graph.per_channel(other, one), one, False
    else:
        alike = graph.shape(one) == graph.shape(other) == graph.shape(node.output[0])
        known = graph.channels(one) is not None and graph.rank(one) == 4
        return AddForm((one, other)) if kind == "Add" and alike and known else None
    if numbers is None or graph.shape(value) != graph.shape(node.output[0]):
        return None
    ones, zeros = np.ones_like(numbers), np.zeros_like(numbers)
    pairs = {
        "Add": (ones, numbers),
        "Sub": (-ones, numbers) if turned else (ones, -numbers),
        "Mul": (numbers, zeros),
    }
    if kind == "Div":
        return OpForm("affine", value, (ones / numbers, zeros))
    return OpForm("affine", value, pairs[kind])


def _bent(graph: Graph, node: onnx.NodeProto) -> OpForm | None:
    """Return ReLU, PReLU or LeakyReLU."""
    value = node.input[0]
    if node.op_type == "Relu":
        return OpForm("relu", value)
    channels = graph.channels(value)
    if node.op_type == "PRelu":
        slope = graph.per_channel(node.input[1], value)
    else:
        slope = np.full(channels or 1, attributes(node).get("alpha", 0.01), np.float32)
    if slope is None:
        return None
    zeros = np.zeros_like(slope)
    return OpForm("prelu", value, (zeros, slope, zeros))


def _clip(graph: Graph, node: onnx.NodeProto) -> OpForm | None:
    found, value = attributes(node), node.input[0]
    limits = []
    for place, (name, open_) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        limit: Any = found.get(name, open_)
        if len(node.input) > place and node.input[place]:
            limit = graph.constants.get(node.input[place])
        if limit is None:
            return None
        limits.append(np.full(graph.channels(value) or 1, limit, np.float32))
    return OpForm("clip", value, (limits[0], limits[1]))


def _join(graph: Graph, node: onnx.NodeProto) -> JoinForm | None:
    known = all(graph.channels(one) is not None and graph.rank(one) == 4 for one in node.input)
    return JoinForm(tuple(node.input)) if known and attributes(node)["axis"] in (1, -3) else None


def _floats(*arrays: npt.NDArray[np.float64]) -> tuple[Floats, ...]:
    return tuple(one.astype(np.float32) for one in arrays)


_MAKERS = {
    "Conv": _convolution,
    "Gemm": _product,
    "MatMul": _product,
    "Flatten": _view,
    "Reshape": _view,
    "Squeeze": _view,
    "Identity": _same,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _whole_pool,
    "GlobalMaxPool": _whole_pool,
    "ReduceMean": _whole_pool,
    "BatchNormalization": _norm,
    "Add": _arithmetic,
    "Sub": _arithmetic,
    "Mul": _arithmetic,
    "Div": _arithmetic,
    "Relu": _bent,
    "PRelu": _bent,
    "LeakyRelu": _bent,
    "Clip": _clip,
    "Concat": _join,
}
