"""A graph is made ready to be quantized; nothing is rounded here, and no answer changes."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError
from perfsuite.export.bodies import bodies, names_made
from perfsuite.passes.int8.forms import in_known_forms
from perfsuite.passes.int8.opsets import PER_CHANNEL, converted, opset_of
from perfsuite.passes.int8.pads import with_own_padding
from perfsuite.passes.int8.shuffles import without_shuffles
from perfsuite.passes.int8.unchanged import difference, steady

if TYPE_CHECKING:
    import onnx


def prepared(
    graph: onnx.ModelProto, samples: Sequence[Inputs], float_operators: Collection[str] = ()
) -> onnx.ModelProto:
    """Return a copy in which what can be quantized is found; it answers `samples` as `graph` does.

    Local functions are expanded, old operators converted, constants folded, batch normalization
    folded, matrix products written in the forms that engines know, and channels are no longer
    shuffled. Raises `BuildError`, with what differs, if the result would answer otherwise than
    within the parity of fp32. What the engine runs in float alone need not have a form for it.
    """
    from onnx import inliner

    from perfsuite.export.fold import fold_batch_norms, simplified

    graph = _self_contained(graph)
    simple = converted(inliner.inline_local_functions(graph) if graph.functions else graph)
    simple = _with_inner_results(simplified(simple))
    _check_names(graph.graph, simple.graph)
    outputs = [value.name for value in graph.graph.output]
    told = difference(graph, simple, samples, outputs)
    if told and opset_of(graph) >= PER_CHANNEL:
        # Constants may have been rounded otherwise, which can exchange two equal detections.
        told = difference(graph, simple, samples, steady(graph.graph, simple.graph))
    if told and not difference(graph, graph, samples, outputs):  # else it answers by chance
        raise BuildError(
            f"int8: the graph would answer otherwise before anything is rounded: {told}; this is "
            f"a fault of perfsuite's, which a graph exported with opset 17 or newer may avoid"
        )
    made = with_own_padding(fold_batch_norms(simple))
    made = in_known_forms(_with_inner_results(made), float_operators)
    # A normalization with tiny variances can make weights that fp32 does not hold well enough.
    if difference(simple, made, samples, steady(simple.graph, made.graph)):
        made = simple
    unshuffled = without_shuffles(made)
    if unshuffled is made:
        return made
    if told := difference(made, unshuffled, samples, steady(made.graph, unshuffled.graph)):
        warnings.warn(
            f"int8: channel shuffles stay, without them the graph would answer otherwise: {told}; "
            f"this is a fault of perfsuite's, which costs speed alone",
            stacklevel=2,
        )
        return made
    return unshuffled


def _self_contained(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with no weights among its inputs, where a caller could replace them."""
    from onnx import ModelProto

    model = ModelProto()
    model.CopyFrom(graph)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)  # the first that lets weights be no inputs
    return model


def _check_names(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    for what, one, other in (
        ("inputs", before.input, after.input),
        ("outputs", before.output, after.output),
    ):
        if (names := [value.name for value in one]) != (now := [value.name for value in other]):
            raise BuildError(f"int8: folding constants renamed {what}: {names} became {now}")


def _with_inner_results(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, in whose bodies of control flow every result is made by a node of its own.

    Folding may leave a value from outside, or the same value twice, which engines refuse.
    """
    taken = names_made(model.graph)
    for node in model.graph.node:
        for body in bodies(node):
            _own_results(body, taken)
    return model


def _own_results(body: onnx.GraphProto, taken: set[str]) -> None:
    from onnx import helper

    made = {name for node in body.node for name in node.output}
    made |= {tensor.name for tensor in body.initializer}
    for value in body.output:
        if value.name in made:
            made.discard(value.name)  # a second result of the same name needs a node
            continue
        name, count = f"{value.name}_result", 0
        while name in taken:
            count += 1
            name = f"{value.name}_result_{count}"
        taken.add(name)
        body.node.append(helper.make_node("Identity", [value.name], [name], name))
        value.name = name
    for node in body.node:
        for inner in bodies(node):
            _own_results(inner, taken)
