"""The profile of ONNX Runtime: its trace, matched with the graph that it was given.

The trace names kernels as the optimized graph does, which ONNX Runtime can write. A fused kernel
keeps the name of the value that it produces, or is named after the node or value that the fusion
started from. Only layouts (NCHWc, NHWC) rename values.
"""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.domain.profile import Kernel, Node, Profile
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.parts import whole_of
from perfsuite.runtimes.shared.origins import Graph, merged, neighbours
from perfsuite.runtimes.shared.precision import PRECISIONS

if TYPE_CHECKING:
    import onnx

Event = dict[str, Any]
Nodes = dict[tuple[str, str], Event]  # the arguments of nodes' events, by name and number
KERNEL, TITLE = "_kernel_time", "ONNX Runtime"
_SUFFIX = re.compile(r"_token_\d+$|_nchwc$")
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Operators that only change a layout or a type, and that the engine inserts.
_SAME_VALUE = ("ReorderInput", "ReorderOutput", "Transpose", "Cast")
_ROUNDS_ITSELF = re.compile(r"DynamicQuantize(?!Linear)")
# Operators that a kernel may apply to its result before storing it.
_EPILOGUE = ("Add", "Sum", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "Tanh",
             "QuantizeLinear")  # fmt: skip


def profile(
    session: Any,
    path: Path,
    optimized: Path,
    inputs: Sequence[Inputs],
    calls: int,
    timed: Callable[[list[Event]], list[Event]] = list,
) -> Profile:
    """Return the profile of `calls` calls, after one with each input.

    `session` traces the graph in `path` and has written the `optimized` graph. The tracer costs
    some microseconds for each kernel, mostly between the kernels, and truncates their times to
    whole microseconds. `timed` gives nodes other times than those of the processor's code. Raises
    `Unsupported` if the trace was cut short.
    """
    for entry in inputs:
        session.run(None, entry)
    walls_s = []
    for index in range(calls):
        entry = inputs[index % len(inputs)]
        begin_ns = time.perf_counter_ns()
        session.run(None, entry)
        walls_s.append((time.perf_counter_ns() - begin_ns) / 1e9)
    events = timed(read_trace(Path(session.end_profiling())))
    traced = list(_calls(events))[-calls:]
    if len(traced) < calls:
        raise Unsupported(
            f"onnxruntime: its trace holds {len(traced)} of {calls} calls; profile fewer"
        )
    graph = Graph(graph_nodes(path))
    return Profile(tuple(walls_s), tuple(_kernels(traced, graph, graph_nodes(optimized))))


def read_trace(path: Path) -> list[Event]:
    """Return the events of a trace, which names nodes in UTF-8."""
    events: list[Event] = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    return events


def ran_nodes(events: list[Event]) -> Nodes:
    """Return the arguments of each node's kernel event, once for each node."""
    return {node_key(event): event["args"] for event in events if is_node(event)}


def is_node(event: Event) -> bool:
    """Tell whether it is the event of a node's kernel."""
    return event.get("cat") == "Node" and event["name"].endswith(KERNEL)


def node_key(event: Event) -> tuple[str, str]:
    """Return what tells a node from all others: inserted ones share names."""
    return event["name"], event["args"]["node_index"]


def graph_nodes(path: Path) -> list[Node]:
    """Return the nodes of an ONNX file in their order, functions expanded, without constants.

    A node without a name gets that of its first output.
    """
    import onnx
    from onnx import inliner

    model = onnx.load(path, format="protobuf", load_external_data=False)
    if model.functions:
        model = inliner.inline_local_functions(model)
    return [
        Node(node.name or outputs[0], node.op_type, "", _taken(node), outputs)
        for node in model.graph.node
        if node.op_type != "Constant" and (outputs := tuple(filter(None, node.output)))
    ]


def _taken(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the values that a node reads, those in bodies of its control flow included."""
    values = list(node.input)
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            values += [value for inner in body.node for value in _taken(inner)]
            values += [value.name for value in body.output]
    return tuple(value for value in values if value)


def _calls(events: list[Event]) -> Iterator[dict[str, Event]]:
    """Yield the kernel events of each call by kernel name, with `ts` since the call's start."""
    inside: dict[str, Event] = {}
    for event in events:
        if is_node(event):
            inside[event["name"].removesuffix(KERNEL)] = event
        elif event.get("name") == "model_run":
            for kernel in inside.values():
                kernel["ts"] -= event["ts"]
            yield inside
            inside = {}


def _kernels(traced: list[dict[str, Event]], graph: Graph, kernels: list[Node]) -> Iterator[Kernel]:
    """Yield the kernels that ran, in their order; a control flow's body is part of its kernel.

    A kernel that is not in the optimized graph has no origins.
    """
    found = origins(graph, kernels)
    products = {node.name for node in graph.nodes if node.kind in PRODUCTS}
    nearby = neighbours(kernels, found, products)
    for name, row in _rows(traced[0], kernels):
        every = [call[name] for call in traced if name in call]
        if len(every) < len(traced):
            raise Unsupported(f"onnxruntime: its trace has kernel '{name}' in some calls only")
        arguments = traced[0][name]["args"]
        yield Kernel(
            name,
            arguments.get("op_name", "") if row is None else kernels[row].kind,
            tuple(each["dur"] / 1e6 for each in every),
            tuple(each["ts"] / 1e6 for each in every),
            () if row is None else found[row],
            () if row is None else nearby[row],
            _precision(arguments),
        )


def _rows(call: dict[str, Event], kernels: Sequence[Node]) -> list[tuple[str, int | None]]:
    """Return the kernels of a call in their order, each with its place in the optimized graph.

    Nodes that have no name there, as those of an operator that the engine expands, the trace calls
    `<operator>_<number>`. They run in the order of the graph.
    """
    rows = {kernel.name: row for row, kernel in enumerate(kernels)}
    found: list[tuple[str, int | None]] = []
    until = 0
    for name, event in sorted(call.items(), key=_begin_and_length):
        row = rows.get(name)
        if row is None and event["ts"] < until:
            continue  # inside of a body
        until = max(until, event["ts"] + event["dur"])
        found.append((name, row))
    nameless: dict[str, list[int]] = defaultdict(list)
    for row, kernel in enumerate(kernels):
        if kernel.name not in call and kernel.outputs and kernel.name == kernel.outputs[0]:
            nameless[kernel.kind].append(row)
    called: dict[str, list[int]] = defaultdict(list)
    for place, (name, row) in enumerate(found):
        kind = call[name]["args"].get("op_name", "")
        if row is None and name == f"{kind}_{call[name]['args'].get('node_index')}":
            called[kind].append(place)
    for kind, places in called.items():
        if len(places) == len(nameless[kind]):  # else nobody knows which is which
            for place, row in zip(places, nameless[kind], strict=True):
                found[place] = (found[place][0], row)
    return found


def _begin_and_length(item: tuple[str, Event]) -> tuple[int, int]:
    """Return a sort key that puts control flow before its body."""
    return item[1]["ts"], -item[1]["dur"]


def data_type(arguments: dict[str, Any]) -> str:
    """Return the type in which a kernel computes, of its arguments in the trace.

    It is that of its first input, unless the kernel rounds that to 8 bits itself.
    """
    if _ROUNDS_ITSELF.match(arguments.get("op_name", "")):
        return "uint8"
    shapes = arguments.get("input_type_shape") or arguments.get("output_type_shape") or [{}]
    return next(iter(shapes[0]), "")


def _precision(arguments: dict[str, Any]) -> str:
    dtype = data_type(arguments)
    return PRECISIONS.get(dtype, dtype)


def origins(graph: Graph, kernels: Sequence[Node]) -> list[tuple[str, ...]]:
    """Return the names of the nodes that were merged into each kernel of the optimized graph."""
    inserted = [_inserted(graph, kernel) for kernel in kernels]
    values = _named_values(graph, kernels, inserted)
    named = [origin_of(graph, kernel.name) for kernel in kernels]
    taken = {index for index in named if index is not None}
    known: list[set[int]] = []
    for kernel, index, skip in zip(kernels, named, inserted, strict=True):
        if skip:
            known.append(set())
            if kernel.inputs[0] in values:
                values.setdefault(kernel.outputs[0], values[kernel.inputs[0]])
            continue
        if index is not None and kernel.outputs and kernel.outputs[0] not in values:
            inputs = {values[value] for value in kernel.inputs if value in values}
            values[kernel.outputs[0]] = _epilogue(graph, index, inputs, taken, values)
        made = [values[value] for value in kernel.outputs if value in values]
        own = {graph.producers[value] for value in made if value in graph.producers}
        known.append(own if index is None else own | {index})
    whole = merged(graph, known, set(values.values()))
    names = [[whole_of(graph.nodes[index].name) for index in indices] for indices in whole]
    return [tuple(dict.fromkeys(each)) for each in names]


def _inserted(graph: Graph, kernel: Node) -> bool:
    """Tell whether the engine inserted the kernel, to change a value's layout or type."""
    if kernel.kind not in _SAME_VALUE or kernel.name in graph.names:
        return False
    index = graph.producers.get(kernel.outputs[0])
    while index is not None and graph.nodes[index].kind == "QuantizeLinear":
        index = graph.producers.get(graph.nodes[index].inputs[0])
    return index is None or graph.nodes[index].kind != kernel.kind


def _named_values(
    graph: Graph, kernels: Sequence[Node], inserted: Sequence[bool]
) -> dict[str, str]:
    """Return the graph's name of each value of the kernels, as far as names tell."""
    values = {
        value: value
        for kernel in kernels
        for value in (*kernel.inputs, *kernel.outputs)
        if value in graph.producers or value in graph.consumers
    }
    for kernel, skip in zip(reversed(kernels), reversed(inserted), strict=True):
        if skip and kernel.outputs[0] in values:
            values.setdefault(kernel.inputs[0], values[kernel.outputs[0]])
    return values


def origin_of(graph: Graph, name: str) -> int | None:
    """Return the node that a kernel of this name is named after, by its own name or its value's."""
    longer = ""
    while name != longer:
        if name in graph.names:
            return graph.names[name]
        if name in graph.producers:
            return graph.producers[name]
        name, longer = _SUFFIX.sub("", name), name
    return None


def _epilogue(
    graph: Graph, index: int, inputs: set[str], taken: set[int], values: dict[str, str]
) -> str:
    """Return the value that the kernel which starts with the node `index` stores.

    The elementwise nodes that follow are part of the kernel if no other kernel has their name or
    stores their result, and the kernel reads all of their inputs.
    """
    stored = set(values.values())
    value = graph.nodes[index].outputs[0]
    while value not in stored and len(graph.consumers[value]) == 1:
        after = graph.consumers[value][0]
        node = graph.nodes[after]
        others = {v for v in node.inputs if v != value and v in graph.producers}
        if node.kind not in _EPILOGUE or after in taken or not others <= inputs:
            break
        value = node.outputs[0]
    return value
