"""Bodies make values of their own, with names of their own, before OpenVINO reads them.

ONNX asks for such names, but Paddle's exporter gives what a loop carries the name of the weights
that it begins with. OpenVINO (2026.4) takes these for the constants around the loop, and then
misses inputs of its body. What a body gives just as it was given it counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from perfsuite.export.bodies import bodies, every_node, names_made, unused_name

if TYPE_CHECKING:
    import onnx


def with_own_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, whose bodies repeat no name from around them.

    Nor is what one of them gives what it was given.
    """
    inside = [body for node in every_node(model.graph) for body in bodies(node)]
    if not _repeats(model.graph, set()) and not any(map(_passed_on, inside)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    taken = names_made(copy.graph)
    _rename(copy.graph, set(), taken)
    for node in list(every_node(copy.graph)):
        for body in bodies(node):
            _copy_passed_on(body, taken)
    return copy


def _repeats(graph: onnx.GraphProto, around: set[str]) -> bool:
    own = _values(graph)
    if own & around:
        return True
    return any(_repeats(body, around | own) for node in graph.node for body in bodies(node))


def _values(graph: onnx.GraphProto) -> set[str]:
    """Return the names of the values that a graph is given or makes, bodies left out."""
    given = {one.name for one in (*graph.input, *graph.initializer)}
    return given.union(*(node.output for node in graph.node)) - {""}


def _rename(graph: onnx.GraphProto, around: set[str], taken: set[str]) -> None:
    repeated = sorted(_values(graph) & around)
    _apply(graph, {name: unused_name(name, taken) for name in repeated})
    known = around | _values(graph)
    for node in graph.node:
        for body in bodies(node):
            _rename(body, known, taken)


def _apply(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename values of a graph, and where bodies inside of it read them."""
    for one in (*graph.input, *graph.initializer, *graph.value_info, *graph.output):
        one.name = names.get(one.name, one.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for body in bodies(node):
            own = _values(body)
            _apply(body, {name: new for name, new in names.items() if name not in own})


def _passed_on(body: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the results of a body that are inputs of it."""
    given = {value.name for value in body.input}
    return [value for value in body.output if value.name in given]


def _copy_passed_on(body: onnx.GraphProto, taken: set[str]) -> None:
    from onnx import helper

    for value in _passed_on(body):
        own = unused_name(value.name, taken)
        body.node.append(helper.make_node("Identity", [value.name], [own], own))
        value.name = own
