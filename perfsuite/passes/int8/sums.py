"""Sums over an axis are written as means, where an engine must not round sums.

OpenVINO rounds a sum over an axis before it is scaled, so that the layers behind it would stay in
float: half of the MACs of a net with selective kernels, which adds up its weighted branches (Li et
al. 2019). It does not do so to means.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import names_made, unused_name
from perfsuite.passes.int8.placement import CONVOLUTIONS, PRODUCTS

if TYPE_CHECKING:
    import onnx

_SUM = "ReduceSum"
_AXES_ARE_INPUTS = 18  # the opset since which ReduceMean takes its axes as an input


def as_means(model: onnx.ModelProto, float_operators: Collection[str]) -> onnx.ModelProto:
    """Return `model`, a copy if need be, in which layers read means times a count, and no sums.

    That is so if an engine runs sums in float alone. Sums that no layer reads stay, and those of
    which it is not known how many values they add up.
    """
    if _SUM not in float_operators:
        return model
    counts = {
        node.output[0]: count
        for node in model.graph.node
        if node.op_type == _SUM
        and _meets_layer(model.graph, node.output[0])
        and (count := _count(model, node))
    }
    if not counts:
        return model
    made = type(model)()
    made.CopyFrom(model)
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    taken = names_made(made.graph)
    for place in reversed(range(len(made.graph.node))):
        if (name := next(iter(made.graph.node[place].output), "")) in counts:
            _write(made.graph, place, counts[name], opset, taken)
    return made


def _meets_layer(graph: onnx.GraphProto, name: str) -> bool:
    """Tell whether a layer reads a value, or what is made of it alone."""
    constants = {tensor.name for tensor in graph.initializer}
    alone = {name}
    for node in graph.node:
        if node.op_type in (*CONVOLUTIONS, *PRODUCTS):
            if node.input[0] in alone and node.input[1] in constants:
                return True
        elif (given := {one for one in node.input if one} - constants) and given <= alone:
            alone.update(node.output)
    return False


def _count(model: onnx.ModelProto, node: onnx.NodeProto) -> int:
    """Return how many values each sum is of; 0 if that is open, or they are no floats."""
    from onnx import TensorProto, numpy_helper, shape_inference

    axes = next((t for t in model.graph.initializer if t.name in node.input[1:2]), None)
    known = shape_inference.infer_shapes(model, data_prop=True).graph
    values = (*known.input, *known.value_info, *known.output)
    kind = next((v.type.tensor_type for v in values if v.name == node.input[0]), None)
    if axes is None or kind is None or kind.elem_type != TensorProto.FLOAT:
        return 0
    sides = [side.dim_value for side in kind.shape.dim]
    places = [int(one) for one in numpy_helper.to_array(axes).reshape(-1)]
    if not places or not all(-len(sides) <= one < len(sides) for one in places):
        return 0
    return int(np.prod([sides[one] for one in places]))


def _write(graph: onnx.GraphProto, place: int, count: int, opset: int, taken: set[str]) -> None:
    from onnx import helper, numpy_helper

    node = graph.node[place]
    result = node.output[0]
    mean, times = (unused_name(f"{result}_{what}", taken) for what in ("mean", "count"))
    graph.initializer.append(numpy_helper.from_array(np.float32(count), times))
    keepdims = next((one.i for one in node.attribute if one.name == "keepdims"), 1)
    if opset < _AXES_ARE_INPUTS:
        axes = next(one for one in graph.initializer if one.name == node.input[1])
        places = numpy_helper.to_array(axes).reshape(-1).tolist()
        first = helper.make_node(
            "ReduceMean", node.input[:1], [mean], node.name, axes=places, keepdims=keepdims
        )
    else:
        first = helper.make_node("ReduceMean", node.input[:2], [mean], node.name, keepdims=keepdims)
    second = helper.make_node("Mul", [mean, times], [result], f"{node.name or result}/count")
    for one in (first, second):
        one.metadata_props.extend(node.metadata_props)
    del graph.node[place]
    graph.node.insert(place, first)
    graph.node.insert(place + 1, second)
