"""What an engine makes of a quantized graph in which nothing is rounded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.export.bodies import every_node
from perfsuite.export.noise import noise_floors
from perfsuite.export.onnx import graph_spec, load_graph
from perfsuite.runner.build.reference import (
    ENGINES_FAULT,
    differences,
    graph_outputs,
    ties_decide,
)
from perfsuite.store.temporary import TemporaryFolder

if TYPE_CHECKING:
    import onnx

_FROM, _TO = "QuantizeLinear", "DequantizeLinear"


def require_unrounded(
    task: Task, graph: Path, given: Inputs, engine: str, answers: Callable[[Path], Outputs]
) -> None:
    """Raise `ParityError` if an engine misreads a quantized graph, also where nothing is rounded.

    `answers` gives what it answers to `given` by a file. Nothing is asked of a graph that works on
    integers, which cannot be run without rounding, and nothing said where the engine or ONNX
    Runtime does not run it so.
    """
    import onnx

    model = unrounded(load_graph(graph))
    if model is None:
        return
    with TemporaryFolder() as folder:
        path = Path(folder) / "unrounded.onnx"
        onnx.save(model, path)
        try:
            expected, answered = graph_outputs(path, given), answers(path)
        except (BuildError, Unsupported):
            return
        floors = partial(noise_floors, partial(graph_outputs, path), given, expected)
        names = graph_spec(model)[1]
        compare = partial(differences, task, expected, names=names, precision="fp32", floors=floors)
        try:
            compare(answered)
        except ParityError as error:
            if ties_decide(path, [given], lambda tied: compare(tied[0])):
                return
            raise ParityError(
                f"{engine} computes something else than the graph, in float too, where nothing is "
                f"rounded: {error}; this is {ENGINES_FAULT}"
            ) from error


def unrounded(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return a copy that rounds no values; None of one that computes with integers of them."""
    made = type(model)()
    made.CopyFrom(model)
    rounded = {node.output[0]: node.input[0] for node in made.graph.node if node.op_type == _FROM}
    for node in made.graph.node:
        if node.op_type == _TO and node.input[0] in rounded:
            value = rounded[node.input[0]]
            del node.input[:], node.attribute[:]
            node.op_type = "Identity"
            node.input.append(value)
    read = {name for node in every_node(made.graph) for name in node.input}
    read |= {value.name for value in made.graph.output}
    kept = [node for node in made.graph.node if node.op_type != _FROM or node.output[0] in read]
    if any(node.op_type == _FROM for node in kept):
        return None
    del made.graph.node[:]
    made.graph.node.extend(kept)
    return made
