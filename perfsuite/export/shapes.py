"""The shapes of an ONNX graph's tensors for inputs of known sizes, without running it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.export.fold import rewritten
from perfsuite.export.functions import inlined
from perfsuite.export.logs import only_errors
from perfsuite.export.order import sort_nodes
from perfsuite.export.stored import make_dense

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
Shapes = dict[str, Shape]


class Inferred(NamedTuple):
    """A model with functions expanded, and its tensors' shapes and bytes per element, by name.

    Its nodes are in order. Binary convolutions stay calls of their function. A tensor whose shape
    cannot be inferred is missing.
    """

    model: onnx.ModelProto
    shapes: Shapes
    widths: dict[str, int]

    @property
    def graph(self) -> onnx.GraphProto:
        """Return the model's graph."""
        return self.model.graph


def infer(model: onnx.ModelProto, given: Mapping[str, Shape] | None) -> Inferred:
    """Return the graph with the shapes that follow from those `given` for its inputs.

    Axes that are open for both are 1 if nothing is given, else they stay unknown. `model` is not
    changed.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(inlined(model, binary=False))
    sort_nodes(copy)  # an engine sorts them by itself, and shapes follow in order
    make_dense(copy)  # shapes are not inferred of what is stored sparse
    del copy.graph.value_info[:]  # they may have dynamic axes
    declared = known(copy.graph)[0]
    for value in copy.graph.output:  # what a file declares of its outputs may be wrong
        if value.type.WhichOneof("value") == "tensor_type":
            value.type.tensor_type.ClearField("shape")
    for value in copy.graph.input:
        sides = value.type.tensor_type.shape.dim
        shape = None if given is None else given.get(value.name)
        if shape is not None and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()
            for _ in shape:
                sides.add()
        lengths = (1,) * len(sides) if given is None else shape or ()
        for side, length in zip(sides, lengths, strict=False):
            if not side.HasField("dim_value") or side.dim_value < 1:
                side.dim_value = length
    inferred = _inferred(copy)
    if all(name in inferred.shapes for node in inferred.graph.node for name in node.output if name):
        return inferred
    folded = _folded(copy)
    return Inferred(
        inferred.model,
        {**declared, **folded.shapes, **inferred.shapes},
        {**folded.widths, **inferred.widths},
    )


def _inferred(model: onnx.ModelProto) -> Inferred:
    from onnx import shape_inference

    try:
        made = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # noqa: BLE001  (it raises whatever an operator raises)
        _warn(error)
        made = model
    shapes, widths = known(made.graph)
    return Inferred(made, shapes, widths)


def known(graph: onnx.GraphProto) -> tuple[Shapes, dict[str, int]]:
    """Return the shapes and bytes per element that a graph tells of its own tensors."""
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    widths = {tensor.name: _width(tensor.data_type) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        sides = kind.shape.dim
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in sides):
            shapes.setdefault(value.name, tuple(side.dim_value for side in sides))
        if kind.elem_type:
            widths.setdefault(value.name, _width(kind.elem_type))
    return shapes, widths


def ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Return how many sides the values of the outermost graph have, where that is known.

    A Reshape gives as many as it is told lengths, also where these are computed, which inferring
    shapes leaves open.
    """
    from onnx import shape_inference

    while True:
        model = shape_inference.infer_shapes(model, data_prop=True)
        graph = model.graph
        sides = {
            value.name: value.type.tensor_type.shape.dim
            for value in (*graph.input, *graph.value_info, *graph.output)
            if value.type.tensor_type.HasField("shape")
        }
        open_ones = {value.name: value for value in graph.value_info if value.name not in sides}
        told = 0
        for node in graph.node:
            if node.op_type != "Reshape" or node.output[0] not in open_ones:
                continue
            lengths = sides.get(node.input[1], ())
            count = lengths[0].dim_value if len(lengths) == 1 else 0
            for _ in range(count):
                open_ones[node.output[0]].type.tensor_type.shape.dim.add()
            told += bool(count)
        if not told:
            return {name: len(dims) for name, dims in sides.items()}


def _folded(model: onnx.ModelProto) -> Inferred:
    """Return what can be inferred after folding constants, such as shapes computed in the graph."""
    from onnxscript.optimizer import fold_constants

    try:
        with only_errors("onnxscript"):
            folded = rewritten(model, partial(fold_constants, onnx_shape_inference=True))
    except Exception as error:  # noqa: BLE001  (it raises whatever an operator raises)
        _warn(error)
        return _inferred(model)
    return _inferred(folded)


def _warn(error: Exception) -> None:
    warnings.warn(
        f"shapes that the graph computes stay unknown without running it: "
        f"{type(error).__name__}: {error}",
        stacklevel=5,
    )


def _width(data_type: int) -> int:
    from onnx import helper

    return int(helper.tensor_dtype_to_np_dtype(data_type).itemsize)
