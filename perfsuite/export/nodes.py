"""The nodes of a graph before an engine optimizes it: their modules, arithmetic and bytes moved.

Engines fuse and rename nodes, so the work of a kernel is found from the nodes that it came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from math import prod
from typing import TYPE_CHECKING

from perfsuite.domain.profile import Node
from perfsuite.domain.task import Inputs
from perfsuite.export.binary_torch import packed_parameters
from perfsuite.export.counting import NodeCount, count_nodes
from perfsuite.export.functions import calls
from perfsuite.export.normalize import module_path
from perfsuite.export.operators import operator_name
from perfsuite.export.parameters import weights
from perfsuite.export.shapes import Inferred

if TYPE_CHECKING:
    import onnx
    from torch import nn

# Operators whose result shares the memory of their input.
VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
# Operators that read only as many bytes of their first input as they write.
_PARTIAL = frozenset({"Gather", "GatherElements", "GatherND", "Slice"})
_QUANTIZE = ("QuantizeLinear", "DequantizeLinear")
_OPTIONAL = ""  # the name of an input or output that is left out


def graph_nodes(model: onnx.ModelProto, inputs: Inputs | None = None) -> tuple[Node, ...]:
    """Return the nodes in the graph's order, functions expanded, for calls with `inputs`.

    Without inputs every open axis is 1.
    `Constant` nodes are left out. The module path of a node comes from its name
    (`<path>/<operator>`, or TorchScript's `/layer1/layer1.0/conv1/Conv`), else from the weight that
    it reads, else, for a Q/DQ pair, from the node whose value it rounds. A node of a function has
    the path of the function's call. A weight is counted as a parameter of the node that reads it
    first, or that reads it after a node which only dequantizes or reshapes it.
    """
    inferred, counts = count_nodes(model, inputs, every_shape=True)
    graph = inferred.graph
    paths = _paths(model.graph, graph)
    parameters = _parameters(graph)
    return tuple(
        _node(node, path, parameters[index], inferred, counts[index])
        for index, (node, path) in enumerate(zip(graph.node, paths, strict=True))
        if node.op_type != "Constant"
    )


def module_nodes(module: nn.Module) -> tuple[Node, ...]:
    """Return one node for each submodule that has parameters of its own, in their order.

    Packed bits are parameters, too. It is for engines that take modules, which report MACs and
    bytes themselves: the nodes tell only the parameters. A shared parameter counts for the first
    submodule that has it.
    """
    from torch.nn.parameter import is_lazy

    seen: set[int] = set()
    nodes = []
    for path, part in module.named_modules():
        own = [
            one
            for one in part.parameters(recurse=False)
            if id(one) not in seen and not is_lazy(one)  # a part that was never called
        ]
        seen.update(map(id, own))
        packed = packed_parameters(part)
        if own or packed:
            kind = type(part).__name__
            elements = sum(one.numel() for one in own) + packed
            nodes.append(Node(f"{path}/{kind}", kind, path, (), (), None, elements))
    return tuple(nodes)


def _node(
    node: onnx.NodeProto, path: str, parameters: int, inferred: Inferred, count: NodeCount
) -> Node:
    inputs = tuple(name for name in node.input if name != _OPTIONAL)
    outputs = tuple(name for name in node.output if name != _OPTIONAL)
    sizes = _sizes(node, inputs, outputs, inferred)
    moved = dict(zip((*inputs, *outputs), sizes, strict=True))
    if node.op_type in VIEWS:
        moved = {}
    return Node(
        name=node.name or (outputs[0] if outputs else node.op_type),
        kind=operator_name(node),
        path=path,
        inputs=inputs,
        outputs=outputs,
        macs=None if count.uncounted else count.macs,
        parameters=parameters,
        bytes=_total(moved.values()),
        sizes=sizes,
    )


def _sizes(
    node: onnx.NodeProto, inputs: tuple[str, ...], outputs: tuple[str, ...], inferred: Inferred
) -> tuple[int | None, ...]:
    """Return the bytes moved for each input, then for each output; None where not known."""
    read, written = ([_size(name, inferred) for name in names] for names in (inputs, outputs))
    if node.op_type in _PARTIAL:
        read[:1] = written[:1]
    if node.op_type in ("Shape", "Size"):
        read = [0]
    return (*read, *written)


def _size(name: str, inferred: Inferred) -> int | None:
    shape, width = inferred.shapes.get(name), inferred.widths.get(name)
    return None if shape is None or width is None else prod(shape) * width


def _total(sizes: Collection[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _paths(before: onnx.GraphProto, graph: onnx.GraphProto) -> list[str]:
    """Return the module path of each node of `graph`, which is `before` with functions expanded."""
    owners = _weight_owners(graph)
    paths = [
        module_path(node.name) or module_path(call) or owners.get(index, "")
        for index, (node, call) in enumerate(zip(graph.node, calls(before, graph), strict=True))
    ]
    _trace_rounding(graph, paths)
    return paths


def _weight_owners(graph: onnx.GraphProto) -> dict[int, str]:
    """Return `layer1.0.conv1` for the first node that reads `layer1.0.conv1.weight`, by index."""
    found: dict[int, str] = {}
    for name, (_, index) in weights(graph).items():
        owner, _, leaf = name.rpartition(".")
        if leaf == "weight":
            found.setdefault(index, owner)
    return found


def _trace_rounding(graph: onnx.GraphProto, paths: list[str]) -> None:
    """Set the missing paths of Q/DQ nodes to that of the node whose value they round.

    A pair that rounds an input of the graph or a weight has the path of its first reader.
    """
    makers = {output: index for index, node in enumerate(graph.node) for output in node.output}
    readers = _readers(graph)
    unmade: list[int] = []
    for index, node in enumerate(graph.node):
        if node.op_type not in _QUANTIZE or paths[index]:
            continue
        maker = makers.get(node.input[0])
        if maker is None or maker in unmade:
            unmade.append(index)
        else:
            paths[index] = paths[maker]
    for index in reversed(unmade):
        reader = readers.get(graph.node[index].output[0])
        if reader is not None:
            paths[index] = paths[reader]


def _parameters(graph: onnx.GraphProto) -> Counter[int]:
    """Return the number of parameters counted for each node, by index.

    Those of a node that reads only constants (it dequantizes or reshapes a weight) are counted for
    the node that reads its result.
    """
    found: Counter[int] = Counter()
    for elements, index in weights(graph).values():
        found[index] += elements
    constants = {tensor.name for tensor in graph.initializer} | {_OPTIONAL}
    readers = _readers(graph)
    for index, node in enumerate(graph.node):
        if not constants.issuperset(node.input):
            continue
        constants.update(node.output)
        reader = readers.get(node.output[0])
        if reader is not None:
            found[reader] += found.pop(index, 0)
    return found


def _readers(graph: onnx.GraphProto) -> dict[str, int]:
    """Return the index of the first node that reads each value, by the value's name."""
    readers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            readers.setdefault(name, index)
    return readers
