"""The profile of OpenVINO: its counters, matched with the graph that it was given.

A compiled graph names the layers that were merged into each kernel. A layer has the name of its
ONNX node. If a node became several layers, the last one, which makes the node's value, has its
name; the others have generated names, and their node follows from the graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from perfsuite.domain.profile import Kernel, Node, Profile
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.export.parts import whole_of
from perfsuite.runtimes.openvino.single_rows import SQUEEZE
from perfsuite.runtimes.shared.origins import Graph, merged, neighbours
from perfsuite.runtimes.shared.precision import PRECISIONS, is_layer

NOT_RUN = "not_executed"
MEMORY = ("Input", "Output", "Const", "Parameter", "Result")
_CONSTANT = "Const"
PRODUCTS = (
    "BinaryConvolution",
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "MatMul",
)
_RECURRENT = (
    "GRUCell", "GRUSequence", "LSTMCell", "LSTMSequence", "RNNCell", "RNNSequence",
)  # fmt: skip
_RECURRENT_KERNELS = ("RNNCell", "RNNSeq")
_EINSUM = "Einsum"
_LAYERS = (*PRODUCTS, *_RECURRENT, _EINSUM)
# Layers that read constants alone, and yet give something else in each call.
_LIVE = ("RandomUniform", "Multinomial", "MemoryInput", "ReadValue")


class CompiledLayer(NamedTuple):
    """One layer of a compiled graph, with the layers that were merged into it and its mean time."""

    node: Node
    merged: tuple[str, ...]
    precision: str
    time_s: float | None  # in a call; None if it did not run, or for less than a microsecond
    primitive: str = ""  # the implementation, such as "jit_avx2_FP32"


def profile(
    compiled: Any,
    run: Callable[[Inputs], Outputs],
    graph: Sequence[Node],
    inputs: Sequence[Inputs],
    calls: int,
) -> Profile:
    """Return the profile of `calls` calls, with mean times, after one call with each input.

    `compiled` must not have run yet: its counters give the mean, in whole microseconds, over all
    calls since it was compiled, from which the first calls are subtracted. What depends on
    constants alone ran once, when the graph was compiled, and is no part of a call.
    """
    for entry in inputs:
        run(entry)
    before = {layer.node.name: layer.time_s or 0.0 for layer in layers(compiled)}
    begin_ns = time.perf_counter_ns()
    for index in range(calls):
        run(inputs[index % len(inputs)])
    wall_s = (time.perf_counter_ns() - begin_ns) / 1e9 / calls
    found = in_calls(layers(compiled))
    names, nearby = origins(graph, found)
    kernels = []
    for layer, own, near in zip(found, names, nearby, strict=True):
        if (own or layer.time_s is not None) and layer.node.kind not in MEMORY:
            warm, after_s = len(inputs), layer.time_s or 0.0
            total_s = after_s * (warm + calls) - before.get(layer.node.name, 0.0) * warm
            mean_s = max(total_s, 0.0) / calls
            precision = PRECISIONS.get(layer.precision, layer.precision)
            kernels.append(
                Kernel(layer.node.name, layer.node.kind, (mean_s,), (), own, near, precision)
            )
    return Profile((wall_s,), tuple(kernels))


def layers(compiled: Any) -> list[CompiledLayer]:
    """Return the layers of a compiled graph in the order in which they run."""
    found = []
    for layer in compiled.get_runtime_model().get_ordered_ops():
        info = {key: str(value.astype(str)) for key, value in layer.get_rt_info().items()}
        spent = info.get("execTimeMcs", NOT_RUN)
        found.append(
            (
                int(info["execOrder"]),
                CompiledLayer(
                    _node(layer, info["layerType"]),
                    tuple(name for name in info["originalLayersNames"].split(",") if name),
                    info["runtimePrecision"],
                    None if spent == NOT_RUN else float(spent) / 1e6,
                    info.get("primitiveType", ""),
                ),
            )
        )
    return [layer for _, layer in sorted(found, key=lambda pair: pair[0])]


def in_calls(found: Sequence[CompiledLayer]) -> list[CompiledLayer]:
    """Return the layers that run in every call: those on a path from an input of the graph."""
    done = _once(found)
    return [layer for layer in found if layer.node.name not in done]


def once(found: Sequence[CompiledLayer]) -> list[CompiledLayer]:
    """Return the layers that computed something when the graph was compiled, and never again."""
    done = _once(found)
    return [
        layer
        for layer in found
        if layer.node.name in done and layer.time_s is not None and layer.node.kind not in MEMORY
    ]


def _once(found: Sequence[CompiledLayer]) -> set[str]:
    """Return the names of the layers that depend on constants alone, constants included.

    It is found by a walk from what does not, because layers may be listed in any order.
    """
    readers: dict[str, list[int]] = {}
    for index, layer in enumerate(found):
        for value in layer.node.inputs:
            readers.setdefault(value, []).append(index)
    live = [
        index
        for index, layer in enumerate(found)
        if layer.node.kind in _LIVE or (not layer.node.inputs and layer.node.kind != _CONSTANT)
    ]
    reached = set(live)
    while live:
        for value in found[live.pop()].node.outputs:
            for index in readers.get(value, ()):
                if index not in reached:
                    reached.add(index)
                    live.append(index)
    return {layer.node.name for index, layer in enumerate(found) if index not in reached}


def graph_nodes(model: Any) -> list[Node]:
    """Return the layers that compute, of a model that is not compiled, in topological order.

    `path` is the name of the ONNX node that a layer belongs to; '' if its own name is generated.
    """
    idle = ("Constant", "Parameter", "Result")
    operations = [op for op in model.get_ordered_ops() if op.get_type_name() not in idle]
    proper = {
        op.get_friendly_name()
        for op in operations
        if any(port.get_names() for port in op.outputs())
    }
    return [_node(op, op.get_type_name(), _owner(op, proper)) for op in operations]


def _node(layer: Any, kind: str, owner: str = "") -> Node:
    inputs = tuple(_value(port.get_node(), port.get_index()) for port in layer.input_values())
    outputs = tuple(_value(layer, index) for index in range(layer.get_output_size()))
    return Node(layer.get_friendly_name(), kind, owner, inputs, outputs)


def _value(layer: Any, index: int) -> str:
    return f"{layer.get_friendly_name()}:{index}"


def _owner(layer: Any, proper: set[str]) -> str:
    """Return the name without the parts appended to it, such as `/WithoutBiases`."""
    name = whole_of(str(layer.get_friendly_name()).removesuffix(SQUEEZE))
    while name and name not in proper:
        name = name.rpartition("/")[0]
    return name


def origins(
    graph: Sequence[Node], found: Sequence[CompiledLayer]
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the ONNX nodes merged into each layer, and, where there are none, those near it.

    What scales a product's sums, or adds its bias, as a layer of its own has that product's name,
    too: the product is then only in the layer that computes it.
    """
    graph = _with_owners(graph)
    given = Graph(graph)
    known = [{index for name in layer.merged for index in _known(given, name)} for layer in found]
    known = _with_einsums(graph, found, _with_directions(graph, found, known))
    own = [is_layer(layer.node.kind) for layer in found]
    computed = {
        index
        for computes, indices in zip(own, known, strict=True)
        for index in indices
        if computes and graph[index].kind in _LAYERS
    }
    elsewhere = {graph[index].path for index in computed}
    known = [
        indices if computes else indices - computed
        for computes, indices in zip(own, known, strict=True)
    ]
    whole, parts = [], []
    for indices in merged(given, known):
        paths = [path for path in dict.fromkeys(graph[at].path for at in indices) if path]
        here = {graph[at].path for at in indices if graph[at].kind in _LAYERS}
        there = [path for path in paths if path in elsewhere - here]
        whole.append(tuple(path for path in paths if path not in there))
        parts.append(tuple(there))
    products = {node.path for node in graph if node.kind in PRODUCTS}
    around = neighbours([layer.node for layer in found], whole, products)
    # A part of a product is nearest to it, such as the signs before a binary convolution.
    near = [
        others if mine or not part else part
        for part, mine, others in zip(parts, whole, around, strict=True)
    ]
    return whole, near


def _with_owners(graph: Sequence[Node]) -> list[Node]:
    """Return the graph, whose recurrent layers without a path have that of what they give.

    Their values are turned before they are the ONNX node's.
    """
    consumers, found = Graph(graph).consumers, list(graph)
    for at, node in enumerate(graph):
        ring = [at] if node.kind in _RECURRENT else []
        while ring and not any(graph[one].path for one in ring):
            values = (value for one in ring for value in graph[one].outputs)
            ring = list(dict.fromkeys(one for value in values for one in consumers[value]))
        path = next((graph[one].path for one in ring if graph[one].path), "")
        found[at] = msgspec.structs.replace(node, path=path or node.path)
    return found


def _with_directions(
    graph: Sequence[Node], found: Sequence[CompiledLayer], known: list[set[int]]
) -> list[set[int]]:
    """Return `known`, in which recurrent layers without a name of the graph's have the nearest one.

    One that runs in both directions is computed as two, whose names are made up.
    """
    places = {node.path: at for at, node in enumerate(graph) if node.kind in _RECURRENT}
    if not places:
        return known
    names = [tuple(dict.fromkeys(graph[at].path for at in indices)) for indices in known]
    around = neighbours([layer.node for layer in found], names, set(places))
    made = []
    for layer, indices, near in zip(found, known, around, strict=True):
        lost = not indices and layer.node.kind in _RECURRENT_KERNELS
        made.append({places[name] for name in near if name in places} if lost else indices)
    return made


def _with_einsums(
    graph: Sequence[Node], found: Sequence[CompiledLayer], known: list[set[int]]
) -> list[set[int]]:
    """Return `known`, in which products without a name of the graph's are of the Einsum behind.

    It is computed as a product with a made-up name; what shapes that product's result has its name.
    """
    places = {at for at, node in enumerate(graph) if node.kind == _EINSUM}
    if not places:
        return known
    consumers, made = Graph([layer.node for layer in found]).consumers, list(known)
    for at, layer in enumerate(found):
        ring = [at] if is_layer(layer.node.kind) else []
        while ring and not any(known[one] for one in ring):
            values = (value for one in ring for value in found[one].node.outputs)
            ring = list(dict.fromkeys(one for value in values for one in consumers[value]))
        made[at] = known[at].union(*(known[one] & places for one in ring if one != at))
    return made


def _known(graph: Graph, name: str) -> list[int]:
    """Return the graph's layer of that name, unless the name may have been generated again."""
    while name:
        index = graph.names.get(name)
        if index is not None:
            return [index] if graph.nodes[index].path else []
        name = name.rpartition("/")[0]
    return []
