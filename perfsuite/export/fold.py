"""Batch normalization is folded into the layer before it, so that it needs no quantization.

A normalization with fixed statistics is y = (x - mean) * gamma / sqrt(var + eps) + beta per
channel. This is an affine map, which can be merged into the weights and biases of the linear layer
before it (Jacob et al. 2018, arXiv:1712.05877, section 3.2).

onnxscript 0.7.2 has rules for the same. On seven workloads of the zoo, exported by both exporters
with their 232 normalizations kept, these fold all of them as well, as closely (1.6e-6 of the
largest answer) and as fast (2.2 s, and 1.9 s here), but give every layer that they change a new
name, by which neither a pass nor a profile finds its module. They also fold normalizations in
training mode, which changes the answers, fail for a bias that is left out by an empty name, and
leave normalizations behind layers that share weights (`python benchmarks/fold_norms.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.export.constant_splits import fold_splits
from perfsuite.export.constants import constant_of
from perfsuite.export.logs import only_errors

if TYPE_CHECKING:
    import onnx

_WHOLE = 2**28  # bytes; larger results of operators on constants are not folded
_FEW = 64  # values; numbers that say how something is padded are repeated for each axis
_SPLIT_BY_NUMBER = 18  # the operator set from which on `Split` has `num_outputs`


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` with constants folded and nothing that only passes values on.

    What a graph computes of constants alone becomes an initializer, as do `Constant` nodes. Names
    of inputs and outputs, the `batch` axis and the operator set do not change.
    """
    made = rewritten(model, _simplify)
    _lift_constants(made.graph)
    return made


def fold_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` with constants and batch normalizations folded.

    A batch normalization is folded if its input is the result of a `Conv`, an ungrouped
    `ConvTranspose` or a `Gemm` that has constant weights, and nothing else reads that result.
    Names, the `batch` axis and the operator set do not change.
    """
    return rewritten(model, _without_norms)


def _without_norms(graph_model: Any) -> None:
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    _simplify(graph_model)
    for node in list(graph_model.graph):
        if _is_inference_norm(node):
            _fold(graph_model.graph, node)
    RemoveUnusedNodesPass()(graph_model)


def rewritten(model: onnx.ModelProto, change: Callable[[Any], None]) -> onnx.ModelProto:
    """Return a copy of `model` that was changed in onnx_ir's form.

    That has no maps, as classifiers of scikit-learn give them, so that outputs get these types back
    afterwards. What else is known to be a map is told by the operator that makes it.
    """
    import onnx_ir as ir

    given = type(model)()
    given.CopyFrom(model)
    maps = {value.name: _taken_type(value) for value in given.graph.output if _has_map(value.type)}
    plain = [value for value in given.graph.value_info if not _has_map(value.type)]
    if len(plain) < len(given.graph.value_info):
        kept = [type(value).FromString(value.SerializeToString()) for value in plain]
        del given.graph.value_info[:]
        given.graph.value_info.extend(kept)
    graph_model = ir.from_proto(given)
    change(graph_model)
    made: onnx.ModelProto = ir.to_proto(graph_model)
    for value in made.graph.output:
        if value.name in maps:
            value.type.CopyFrom(maps[value.name])
    return made


def _has_map(kind: onnx.TypeProto) -> bool:
    """Tell whether a value is a map, or a sequence of maps or an optional one."""
    held = kind.WhichOneof("value")
    if held in ("sequence_type", "optional_type"):
        return _has_map(getattr(kind, held).elem_type)
    return bool(held == "map_type")


def _taken_type(value: onnx.ValueInfoProto) -> onnx.TypeProto:
    """Return the type of a value, which has none from then on."""
    kind = type(value.type)()
    kind.CopyFrom(value.type)
    value.ClearField("type")
    return kind


def _simplify(graph_model: Any) -> None:
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    _fold_constants(graph_model)
    while fold_splits(graph_model.graph):
        _fold_constants(graph_model)
    _as_old_splits(graph_model)
    for node in list(graph_model.graph):
        if node.op_type == "Identity" and node.domain == "":
            _pass_over(graph_model.graph, node)
    RemoveUnusedNodesPass()(graph_model)


def _fold_constants(graph_model: Any) -> None:
    from onnxscript.optimizer import fold_constants

    try:
        with only_errors("onnxscript"):
            fold_constants(
                graph_model,
                onnx_shape_inference=False,
                input_size_limit=_WHOLE,
                output_size_limit=_WHOLE,
                should_fold=_may_fold,
            )
    except Exception as error:
        raise BuildError(f"constants of the graph cannot be folded: {error}") from error


def _as_old_splits(graph_model: Any) -> None:
    """Take `num_outputs` off each `Split` where the operator set has no such attribute.

    Folding makes a `Split` into equal parts of a `SplitToSequence`, with the attribute whatever the
    operator set is. Without it, and without sizes, parts are equal in the older ones.
    """
    if graph_model.graph.opset_imports.get("", 0) >= _SPLIT_BY_NUMBER:
        return
    for node in graph_model.graph.all_nodes():
        if node.op_type == "Split" and node.domain == "":
            node.attributes.pop("num_outputs", None)


def _may_fold(node: Any) -> bool | None:
    """Return False for what is not folded there; None leaves it to the rules.

    Texts cannot be written again, and of nodes with several results it makes none. By its rules it
    repeats no constant, be the result ever so small.
    """
    import onnx_ir as ir

    constants = [value.const_value for value in node.inputs if value is not None]
    texts = any(one is not None and one.dtype == ir.DataType.STRING for one in constants)
    texts = texts or node.attributes.get_int("to", 0) == ir.DataType.STRING
    if texts or len(node.outputs) > 1:
        return False
    return True if node.op_type == "ConstantOfShape" and _has_few(constants[0]) else None


def _has_few(shape: Any) -> bool:
    return shape is not None and bool(np.prod(shape.numpy()) <= _FEW)


def _lift_constants(graph: onnx.GraphProto) -> None:
    """Make initializers of `Constant` nodes; texts, sparse tensors and outputs stay nodes."""
    from onnx import numpy_helper

    outputs = {value.name for value in graph.output}
    for node in list(graph.node):
        array = constant_of(node)
        if array is not None and node.output[0] not in outputs:
            graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
            graph.node.remove(node)


def _pass_over(graph: Any, node: Any) -> None:
    """Remove an `Identity` of the outermost graph, unless it gives an output its own name.

    In a body of control flow it stays: there it may be what makes an outer value a result.
    """
    given, result = node.inputs[0], node.outputs[0]
    if given is None:
        return
    if result.is_graph_output():
        if (
            given.producer() is None
            or given.is_graph_output()
            or given.producer().graph is not graph
        ):
            return
        graph.outputs[list(graph.outputs).index(result)] = given
        given.shape, given.type = result.shape or given.shape, result.type or given.type
        name = result.name
        result.name = None
        given.name = name
    result.replace_all_uses_with(given)
    graph.remove(node, safe=True)


def _is_inference_norm(node: Any) -> bool:
    return (
        node.op_type == "BatchNormalization"
        and node.domain == ""
        and node.attributes.get_int("training_mode", 0) == 0
        and all(_constant(value) is not None for value in node.inputs[1:5])
    )


def _constant(value: Any) -> np.ndarray | None:
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return np.asarray(value.const_value.numpy())


def _fold(graph: Any, norm: Any) -> None:
    layer = norm.inputs[0].producer()
    if layer is None or layer.domain != "" or len(layer.inputs) < 2:
        return
    read_once = len(norm.inputs[0].uses()) == 1 and not norm.inputs[0].is_graph_output()
    weight = _constant(layer.inputs[1])
    axis = _channel_axis(layer)
    if not read_once or weight is None or axis is None:
        return
    gamma, beta, mean, variance = (_double(value) for value in norm.inputs[1:5])
    scale = gamma / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    bias = _bias(layer, len(scale))
    if bias is None:
        return
    along = [1] * weight.ndim
    along[axis] = -1
    dtype = weight.dtype
    weights = (weight.astype(np.float64) * scale.reshape(along)).astype(dtype)
    biases = ((bias - mean) * scale + beta).astype(dtype)
    _set_parameters(graph, layer, weights, biases)
    _bypass(graph, norm)


def _channel_axis(layer: Any) -> int | None:
    """Return the weight's axis of output channels; None for layers that cannot be folded into."""
    if layer.op_type == "Conv":
        return 0
    if layer.op_type == "ConvTranspose" and layer.attributes.get_int("group", 1) == 1:
        return 1
    if layer.op_type == "Gemm":
        return 0 if layer.attributes.get_int("transB", 0) else 1
    return None


def _bias(layer: Any, channels: int) -> np.ndarray | None:
    """Return the bias of each channel, times `Gemm`'s beta; None if it is not constant."""
    if len(layer.inputs) < 3 or layer.inputs[2] is None:
        return np.zeros(channels)
    bias = _constant(layer.inputs[2])
    if bias is None or bias.size not in (1, channels) or bias.shape[-1:] not in ((), (bias.size,)):
        return None
    factor = layer.attributes.get_float("beta", 1.0) if layer.op_type == "Gemm" else 1.0
    return np.broadcast_to(bias.reshape(-1).astype(np.float64) * factor, (channels,))


def _double(value: Any) -> np.ndarray:
    return np.asarray(value.const_value.numpy(), dtype=np.float64)


def _set_parameters(graph: Any, layer: Any, weights: np.ndarray, biases: np.ndarray) -> None:
    import onnx_ir as ir

    name = layer.inputs[1].name
    owner, dot, leaf = name.rpartition(".")
    bias_name = f"{owner}.bias" if dot and leaf == "weight" else f"{layer.name}_bias"
    if len(layer.inputs) > 2 and layer.inputs[2] is not None:
        bias_name = layer.inputs[2].name
    layer.replace_input_with(1, _initializer(graph, layer.inputs[1], name, weights))
    if len(layer.inputs) < 3:
        layer.resize_inputs(3)
    layer.replace_input_with(2, _initializer(graph, layer.inputs[2], bias_name, biases))
    if layer.op_type == "Gemm":
        layer.attributes["beta"] = ir.AttrFloat32("beta", 1.0)


def _initializer(graph: Any, old: Any, name: str, array: np.ndarray) -> Any:
    """Return an initializer with `array`, which replaces `old` unless other nodes read that too."""
    import onnx_ir as ir

    if old is not None and len(old.uses()) == 1 and old.is_initializer():
        old.const_value = ir.tensor(array, name=old.name)
        old.shape = ir.Shape(array.shape)
        return old
    unique, count = name, 0
    while unique in graph.initializers:
        count += 1
        unique = f"{name}_{count}"
    value = ir.Value(
        name=unique,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
        const_value=ir.tensor(array, name=unique),
    )
    graph.register_initializer(value)
    return value


def _bypass(graph: Any, norm: Any) -> None:
    """Remove `norm`, and give the name of its result to the result of the layer before it."""
    produced, normalized = norm.inputs[0], norm.outputs[0]
    name = normalized.name
    if normalized.is_graph_output():
        graph.outputs[list(graph.outputs).index(normalized)] = produced
        produced.shape, produced.type = normalized.shape, normalized.type
    normalized.replace_all_uses_with(produced)
    graph.remove(norm, safe=True)
    normalized.name = None
    produced.name = name
