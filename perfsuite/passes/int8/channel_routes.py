"""Where channels arise, through all that only joins, splits and shuffles them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.export.bodies import bodies, names_read_by

if TYPE_CHECKING:
    import onnx

Channel = tuple[str, int]  # the tensor in which it arises, and its place there
Route = list[Channel]  # of each channel of a tensor

# One input, one result, and each channel by itself.
_EACH_CHANNEL = (
    "AveragePool", "Clip", "Elu", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
    "LeakyRelu", "MaxPool", "Mish", "Relu", "Sigmoid", "Softplus", "Tanh",
)  # fmt: skip


@dataclass
class Routes:
    """The routes of a graph's tensors, and which nodes take or give channels in any order.

    `moved` has the results of nodes that do nothing but move channels; all other tensors are
    sources. In `shapes` an unknown side is 0. `kept` are graph outputs and what bodies of control
    flow read. `shuffles` is the number of channel shuffles.
    """

    graph: onnx.GraphProto
    constants: dict[str, onnx.TensorProto]
    shapes: dict[str, tuple[int, ...]]
    producer: dict[str, onnx.NodeProto] = field(default_factory=dict)
    readers: dict[str, list[onnx.NodeProto]] = field(default_factory=lambda: defaultdict(list))
    kept: set[str] = field(default_factory=set)
    moved: dict[str, Route] = field(default_factory=dict)
    shuffles: int = 0

    def of(self, name: str) -> Route:
        """Return where a tensor's channels arise; nothing if their number is not known."""
        if name in self.moved:
            return self.moved[name]
        return [(name, place) for place in range(self.shapes.get(name, (0, 0))[1])]

    def sources(self, name: str) -> dict[str, None]:
        """Return the tensors in which a tensor's channels arise, in the order of its channels."""
        return dict.fromkeys(source for source, _ in self.of(name))

    def moves(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node only moves channels."""
        return bool(node.output) and node.output[0] in self.moved

    def takes_any_order(self, node: onnx.NodeProto, tensor: str) -> bool:
        """Tell whether the channels of `tensor` may come in any order, if weights follow."""
        alone = list(node.input).count(tensor) == 1 and len(node.output) == 1
        if not alone or node.input[0] != tensor:
            return False
        if node.op_type == "Conv" and self._has_constants(node):
            return group_of(node) == 1 or (
                is_depthwise(node, self.constants) and self._all_take_any_order(node.output[0])
            )
        return node.op_type in _EACH_CHANNEL and self._all_take_any_order(node.output[0])

    def giver(self, tensor: str) -> onnx.NodeProto | None:
        """Return the convolution that can give a tensor's channels in any order, if one can."""
        node = self.producer.get(tensor)
        while node is not None and tensor not in self.kept:
            if node.op_type == "Conv":
                return node if group_of(node) == 1 and self._has_constants(node) else None
            tensor = node.input[0]
            alone = len(self.readers[tensor]) == len(node.output) == 1
            if node.op_type not in _EACH_CHANNEL or not alone:
                return None
            node = self.producer.get(tensor)
        return None

    def array(self, name: str) -> Any:
        """Return a constant as an array, None for what is none."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def _all_take_any_order(self, tensor: str) -> bool:
        return tensor not in self.kept and all(
            not self.moves(node) and self.takes_any_order(node, tensor)
            for node in self.readers[tensor]
        )

    def _has_constants(self, node: onnx.NodeProto) -> bool:
        return all(name in self.constants for name in node.input[1:] if name)


def routes_of(model: onnx.ModelProto) -> Routes:
    """Return the routes of `model`, whose nodes are in topological order."""
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model).graph
    sides = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    shapes = {name: shape for name, shape in sides.items() if len(shape) > 1}
    graph = model.graph
    found = Routes(graph, {tensor.name: tensor for tensor in graph.initializer}, shapes)
    found.kept.update(value.name for value in graph.output)
    for node in graph.node:
        found.producer.update(dict.fromkeys(filter(None, node.output), node))
        for name in {*node.input}:
            found.readers[name].append(node)
        if any(True for _ in bodies(node)):
            found.kept |= names_read_by(node)
    for node in graph.node:
        found.moved.update(_moved(found, node))
    return found


def attribute_of(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute."""
    from onnx import helper

    values = [helper.get_attribute_value(one) for one in node.attribute if one.name == name]
    return values[0] if values else default


def group_of(node: onnx.NodeProto) -> int:
    """Return the number of groups of a convolution."""
    return int(attribute_of(node, "group", 1))


def is_depthwise(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Tell whether a convolution makes one channel of each."""
    sides = constants[node.input[1]].dims
    return bool(group_of(node) == sides[0] and sides[1] == 1)


def _moved(routes: Routes, node: onnx.NodeProto) -> Iterator[tuple[str, Route]]:
    """Yield the results of a node that only moves channels, and their routes."""
    if node.op_type == "Concat" and attribute_of(node, "axis") == 1:
        parts = [routes.of(name) for name in node.input]
        if all(parts):
            yield node.output[0], [channel for part in parts for channel in part]
    elif node.op_type == "Split" and attribute_of(node, "axis", 0) == 1:
        yield from _split(routes, node)
    elif node.op_type == "Reshape":
        yield from _shuffled(routes, node)


def _split(routes: Routes, node: onnx.NodeProto) -> Iterator[tuple[str, Route]]:
    whole = routes.of(node.input[0])
    given = routes.array(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if given is None:
        if len(node.input) > 1 or len(whole) % len(node.output):
            return
        given = np.full(len(node.output), len(whole) // len(node.output))
    ends = np.cumsum([0, *given]).tolist()
    if whole and ends[-1] == len(whole):
        for name, (start, end) in zip(node.output, pairwise(ends), strict=True):
            yield name, whole[start:end]


def _shuffled(routes: Routes, last: onnx.NodeProto) -> Iterator[tuple[str, Route]]:
    """Yield what a shuffle gives, which is written as Reshape, Transpose, Reshape.

    Its results inside have routes too: they go with it.
    """
    turn = routes.producer.get(last.input[0])
    first = routes.producer.get(turn.input[0]) if turn is not None else None
    if turn is None or first is None or (turn.op_type, first.op_type) != ("Transpose", "Reshape"):
        return
    inner, outer = routes.array(first.input[1]), routes.array(last.input[1])
    whole = routes.of(first.input[0])
    if inner is None or outer is None or not whole or not len(inner) == len(outer) + 1 > 2:
        return
    groups, each = (int(side) for side in inner[1:3])
    sides = list(routes.shapes.get(first.input[0], ()))[2:]
    alone = all(
        len(routes.readers[name]) == 1 and name not in routes.kept
        for name in (first.output[0], turn.output[0])
    )
    if (
        alone
        and attribute_of(turn, "perm") == [0, 2, 1, *range(3, len(inner))]
        and groups > 0 < each
        and groups * each == len(whole)
        and outer[1] in (len(whole), -1)
        and inner[3:].tolist() == outer[2:].tolist() == sides
        and 0 not in sides
    ):
        routes.shuffles += 1
        shuffled = [whole[place] for place in np.arange(len(whole)).reshape(groups, each).T.ravel()]
        yield first.output[0], whole
        yield turn.output[0], shuffled
        yield last.output[0], shuffled
