"""Biases make up for the mean error that rounding causes in a layer, channel by channel.

A layer's input has a mean, most of all behind a ReLU, so that rounded weights shift each channel of
its result by a constant, and so does rounding the input where many values are less than a step.
Calibration samples show by how much (Nagel et al. 2019, arXiv:1906.04721, section 4.2; Finkelstein
et al. 2019, arXiv:1906.03193).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.export.bodies import names_made
from perfsuite.passes.int8.calibration import means_of
from perfsuite.passes.int8.opsets import opset_of
from perfsuite.passes.int8.placement import CONVOLUTIONS, channel_axis
from perfsuite.passes.int8.unchanged import answers_of

if TYPE_CHECKING:
    import onnx

_CLEARLY, _NOTHING = 2.0, 0.01  # relative errors of answers
_AXES_ARE_INPUTS = 18  # the first opset in which the axes of ReduceMean are no attribute


def correct_biases(
    rounded: onnx.ModelProto,
    plain: onnx.ModelProto,
    weighted: Sequence[str],
    batches: Iterable[Inputs],
    few: Inputs | None = None,
) -> None:
    """Change the biases of `rounded` in place, so that its layers' means are those of `plain`.

    `rounded` is `plain` with Q/DQ pairs, `weighted` are the results of layers with 8-bit weights.
    Where the answers to a `few` samples are clearly further from those of `plain` then, nothing is
    changed: a bias that is no longer zero gives positions that hold nothing, as padded ones, a
    small value, and a normalization makes it as large as any other. That cannot be told of a graph
    which ONNX Runtime does not run, as one that is rounded for another engine.
    """
    errors = mean_errors(rounded, plain, weighted, batches)
    corrected = type(rounded)()
    corrected.CopyFrom(rounded)
    subtract(corrected, plain, errors)
    if few is None or not errors or not _further(plain, corrected, rounded, few):
        rounded.CopyFrom(corrected)


def _further(
    plain: onnx.ModelProto, corrected: onnx.ModelProto, rounded: onnx.ModelProto, few: Inputs
) -> bool:
    """Tell whether what is corrected answers more than `_CLEARLY` times as wrong as without."""
    names = [value.name for value in plain.graph.output]
    (wanted,) = answers_of(plain, [few], names)
    try:
        one, other = (answers_of(model, [few], names)[0] for model in (corrected, rounded))
    except Exception:  # noqa: BLE001  (ONNX Runtime's errors have no common class)
        return False
    return _error(wanted, one) > _CLEARLY * _error(wanted, other) + _NOTHING


def _error(wanted: Sequence[Any], found: Sequence[Any]) -> float:
    """Return the relative error of the outputs that have one, in the mean of squares."""
    errors = []
    for b, a in zip(wanted, found, strict=True):
        if isinstance(b, np.ndarray) and b.dtype.kind == "f" and b.shape == a.shape and b.size:
            sizes = np.isfinite(b) & np.isfinite(a)
            missed = float(np.square(a[sizes].astype(np.float64) - b[sizes]).sum())
            whole = float(np.square(b[sizes].astype(np.float64)).sum())
            errors.append(missed / whole if whole else 0.0)
    return float(np.sqrt(np.mean(errors))) if errors else 0.0


def mean_errors(
    rounded: onnx.ModelProto,
    plain: onnx.ModelProto,
    weighted: Sequence[str],
    batches: Iterable[Inputs],
) -> dict[str, np.ndarray]:
    """Return by how much the mean of each channel is too large, by the result of its layer.

    The errors are those of the layer's weights and of its input, on the values that `plain` has. A
    product to which no constant is added for each channel is left out. Memory depends on the
    largest batch.
    """
    layers = _layers(plain, weighted)
    able = _Biases(rounded, layers).able
    if not able:
        return {}
    probe = _probe(plain, rounded, {name: layers[name] for name in able})
    # Nothing is known where no batch has as many samples as the model takes at once.
    found = zip(able, means_of(probe, batches), strict=False)
    return {name: shift for name, shift in found if np.isfinite(shift).all()}


def subtract(
    rounded: onnx.ModelProto, plain: onnx.ModelProto, errors: Mapping[str, np.ndarray]
) -> None:
    """Take `errors`, as `mean_errors` gives them, off the biases of `rounded` in place."""
    biases = _Biases(rounded, _layers(plain, errors))
    for name, shift in errors.items():
        biases.subtract(name, shift)


def _layers(plain: onnx.ModelProto, results: Iterable[str]) -> dict[str, onnx.NodeProto]:
    made = set(results)
    return {n.output[0]: n for n in plain.graph.node if n.output and n.output[0] in made}


def _probe(
    plain: onnx.ModelProto, rounded: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto]
) -> onnx.ModelProto:
    """Return `plain` with the mean errors of `layers` as its outputs, a value for each channel."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    probe = ModelProto()
    probe.CopyFrom(plain)
    graph = probe.graph
    del graph.output[:]
    taken = names_made(graph)
    constants = {tensor.name: tensor for tensor in rounded.graph.initializer}
    makers = _makers(rounded.graph)

    def name_of(what: str) -> str:
        name, count = what, 0
        while name in taken:
            count += 1
            name = f"{what}_{count}"
        taken.add(name)
        return name

    def add(operator: str, inputs: Sequence[str], **attributes: object) -> str:
        output = name_of(f"correction_{operator}")
        graph.node.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(values: Sequence[int]) -> str:
        name = name_of("correction_numbers")
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def share(names: Iterable[str]) -> None:
        for name in names:
            if name not in taken:
                graph.initializer.append(constants[name])
                taken.add(name)

    def again(layer: onnx.NodeProto, value: str, weights: str) -> str:
        copy = type(layer)()
        copy.CopyFrom(layer)
        copy.name = copy.output[0] = name_of("correction_layer")
        copy.input[:] = [value, weights]  # without the bias
        graph.node.append(copy)
        return str(copy.output[0])

    for result, layer in layers.items():
        node = _weighted_node(makers, result)
        decoding = makers[node.input[1]]
        share(decoding.input)
        weights = add("DequantizeLinear", decoding.input, axis=channel_axis(layer))
        given = layer.input[0]
        if (scale := _scale_of(makers, node.input[0])) is not None:
            share(scale)
            given = add("DequantizeLinear", [add("QuantizeLinear", [given, *scale]), *scale])
        value = add("Sub", [again(layer, given, weights), again(layer, *layer.input[:2])])
        axes = [0]
        shape = constants[decoding.input[0]].dims
        if layer.op_type in CONVOLUTIONS:
            axes += range(2, len(shape))
        else:
            value = add("Reshape", [value, constant([-1, shape[channel_axis(layer)]])])
        if opset_of(plain) >= _AXES_ARE_INPUTS:
            mean = add("ReduceMean", [value, constant(axes)], keepdims=0)
        else:
            mean = add("ReduceMean", [value], axes=axes, keepdims=0)
        graph.output.append(helper.make_tensor_value_info(mean, TensorProto.FLOAT, [None]))
    return probe


def _makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _scale_of(makers: Mapping[str, onnx.NodeProto], name: str) -> list[str] | None:
    """Return the scale and the zero point by which a value was just rounded, if it was."""
    decoding = makers.get(name)
    if decoding is None or decoding.op_type != "DequantizeLinear":
        return None
    return list(decoding.input[1:])


def _weighted_node(makers: Mapping[str, onnx.NodeProto], result: str) -> onnx.NodeProto:
    """Return the layer behind a result, which may add its bias in a node of its own."""
    node = _unrounded(makers, result)
    return makers[node.input[0]] if node.op_type == "Add" else node


def _unrounded(makers: Mapping[str, onnx.NodeProto], result: str) -> onnx.NodeProto:
    """Return the node that makes a result, which may have been rounded since, as outputs are."""
    node = makers[result]
    while node.op_type in ("DequantizeLinear", "QuantizeLinear"):
        node = makers[node.input[0]]
    return node


class _Biases:
    """The constants that are added to results of layers; `able` are those that can be changed."""

    def __init__(self, model: onnx.ModelProto, layers: Mapping[str, onnx.NodeProto]) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = _makers(self.graph)
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in self.graph.output}
        self.taken = names_made(self.graph)
        self.able = [name for name, layer in layers.items() if self._place(name, layer) is not None]
        self.layers = layers

    def subtract(self, result: str, shift: np.ndarray) -> None:
        """Add minus `shift`, a value for each channel, to the result of a layer."""
        from onnx import numpy_helper

        place = self._place(result, self.layers[result])
        assert place is not None
        node, index = place
        before = np.zeros(len(shift), np.float32)
        if index < len(node.input) and node.input[index]:
            before = numpy_helper.to_array(self.constants[node.input[index]])
        name, count = f"{result}_bias_corrected", 0
        while name in self.taken:
            count += 1
            name = f"{result}_bias_corrected_{count}"
        self.taken.add(name)
        after = (before - shift).astype(np.float32)
        self.graph.initializer.append(numpy_helper.from_array(after, name))
        if index == len(node.input):
            node.input.append(name)
        else:
            node.input[index] = name

    def _place(self, result: str, layer: onnx.NodeProto) -> tuple[onnx.NodeProto, int] | None:
        """Return the node and the input at which the constant that is added to a result stands."""
        node = _unrounded(self.makers, result)
        weights = self.constants[self.makers[_weighted_node(self.makers, result).input[1]].input[0]]
        channels = weights.dims[channel_axis(layer)]
        if layer.op_type == "MatMul":
            readers = self.readers.get(result, [])
            if len(readers) != 1 or result in self.outputs or readers[0].op_type != "Add":
                return None
            node, index = readers[0], 1 - list(readers[0].input).index(result)
        else:
            index = 1 if node.op_type == "Add" else 2
            if len(node.input) <= index or not node.input[index]:
                return node, index
        constant = self.constants.get(node.input[index])
        if constant is None or list(constant.dims) != [*[1] * (len(constant.dims) - 1), channels]:
            return None
        return node, index
