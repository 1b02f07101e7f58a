"""Sequences of tensors that follow from the graph are taken apart before OpenVINO reads it.

It takes some operators on sequences, but tells no number of axes of what they give (2026.4), so
that a convolution or a product behind them is refused, and has no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.export.bodies import every_node, names_made, names_read, unused_name
from perfsuite.export.constants import constants_of
from perfsuite.export.parts import part_of

if TYPE_CHECKING:
    import onnx

_MAKE = (
    "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SplitToSequence",
)  # fmt: skip
_READ = ("ConcatFromSequence", "SequenceAt", "SequenceLength")
_ARE_INPUTS = 13  # the operator set since which axes and lengths are inputs


def without_known_sequences(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which tensors of known sequences are read as such.

    A sequence that depends on values, or that a body of control flow reads or makes, stays one.
    """
    if not any(node.op_type in _READ and not node.domain for node in every_node(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    opset = next((one.version for one in model.opset_import if not one.domain), 1)
    _Writer(copy.graph, opset, _sides(model)).write()
    return copy


def _sides(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the lengths of tensors' axes, 0 where one is not known."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
        if value.type.tensor_type.HasField("shape")
    }


class _Writer:
    """One walk over the graph: `held` are the tensors of each known sequence seen so far."""

    def __init__(self, graph: onnx.GraphProto, opset: int, sides: dict[str, list[int]]) -> None:
        self.graph, self.opset, self.sides = graph, opset, sides
        self.taken = names_made(graph)
        self.constants = constants_of(graph)
        self.held: dict[str, list[str]] = {}
        self.nodes: list[onnx.NodeProto] = []

    def write(self) -> None:
        for node in self.graph.node:
            if node.domain or not self._taken_apart(node):
                self.nodes.append(node)
            if not node.domain and node.op_type in _MAKE:
                held = self._made(node)
                if held is not None:
                    self.held[node.output[0]] = held
        kept = [type(node).FromString(node.SerializeToString()) for node in self.nodes]
        del self.graph.node[:]
        self.graph.node.extend(kept)
        while unread := self._unread():
            for node in unread:
                self.graph.node.remove(node)

    def _unread(self) -> list[onnx.NodeProto]:
        """Return the nodes that make sequences which nothing reads."""
        read = names_read(self.graph) | {value.name for value in self.graph.output}
        makers = (one for one in self.graph.node if not one.domain and one.op_type in _MAKE)
        return [node for node in makers if read.isdisjoint(node.output)]

    def _made(self, node: onnx.NodeProto) -> list[str] | None:
        """Return the tensors of the sequence that a node makes; None if they are not known."""
        if node.op_type == "SequenceEmpty":
            return []
        if node.op_type == "SequenceConstruct":
            return list(node.input)
        if node.op_type == "SplitToSequence":
            return self._split(node)
        held, inserts = self.held.get(node.input[0]), node.op_type == "SequenceInsert"
        given = node.input[2:] if inserts else node.input[1:]
        place = self._place(given[0]) if given and given[0] else None
        if held is None or (place is None and given and given[0]):
            return None
        made = list(held)
        if inserts:
            made.insert(len(made) if place is None else place, node.input[1])
        else:
            del made[-1 if place is None else place]
        return made

    def _split(self, node: onnx.NodeProto) -> list[str] | None:
        """Add a Split that gives what a SplitToSequence holds; return its results."""
        said = _said(node)
        axis, squeezed = said.get("axis", 0), not said.get("keepdims", 1)
        sides = self.sides.get(node.input[0], [])
        length = sides[axis] if -len(sides) <= axis < len(sides) else 0
        sizes: Any = np.ones(length, np.int64)
        if len(node.input) > 1 and node.input[1]:
            sizes, squeezed = self.constants.get(node.input[1]), False
            if sizes is not None and not sizes.ndim:
                size = int(sizes)
                sizes = np.diff([*range(0, length, size), length]) if length else None
        if sizes is None or not len(sizes):
            return None
        parts = [self._name(node, "part") for _ in sizes]
        self._add("Split", [node.input[0]], parts, node, "split", sizes, axis=axis)
        return [self._moved("Squeeze", part, axis, node) for part in parts] if squeezed else parts

    def _taken_apart(self, node: onnx.NodeProto) -> bool:
        """Add what reads the tensors of a known sequence in a node's place; tell whether it was."""
        from onnx import helper

        held = self.held.get(node.input[0]) if node.op_type in _READ else None
        if held is None:
            return False
        said, name = _said(node), node.name or node.output[0]
        if node.op_type == "SequenceAt":
            place = self._place(node.input[1])
            if place is None or not -len(held) <= place < len(held):
                return False
            made = helper.make_node("Identity", [held[place]], node.output, name)
        elif node.op_type == "SequenceLength":
            made = helper.make_node("Constant", [], node.output, name, value_int=len(held))
        elif not held:
            return False
        else:
            axis = said["axis"]
            if said.get("new_axis", 0):
                held = [self._moved("Unsqueeze", one, axis, node) for one in held]
            made = helper.make_node("Concat", held, node.output, name, axis=axis)
        made.metadata_props.extend(node.metadata_props)
        self.nodes.append(made)
        return True

    def _place(self, name: str) -> int | None:
        found = self.constants.get(name)
        return None if found is None else int(found)

    def _moved(self, operator: str, value: str, axis: int, node: onnx.NodeProto) -> str:
        """Add a Squeeze or an Unsqueeze of one axis; return its result."""
        result = self._name(node, operator)
        self._add(operator, [value], [result], node, "axes", [axis])
        return result

    def _add(
        self,
        operator: str,
        read: list[str],
        results: list[str],
        node: onnx.NodeProto,
        field: str,
        numbers: Sequence[int],
        **attributes: int,
    ) -> None:
        """Add a node whose `field` is an attribute in older operator sets, and an input since."""
        from onnx import helper, numpy_helper

        numbers = [int(one) for one in numbers]
        name = self._name(node, operator)
        if self.opset < _ARE_INPUTS:
            made = helper.make_node(operator, read, results, name, **attributes)
            made.attribute.append(helper.make_attribute(field, numbers))
        else:
            constant = self._name(node, field)
            tensor = numpy_helper.from_array(np.array(numbers, np.int64), constant)
            self.graph.initializer.append(tensor)
            made = helper.make_node(operator, [*read, constant], results, name, **attributes)
        self.nodes.append(made)

    def _name(self, node: onnx.NodeProto, what: str) -> str:
        return unused_name(part_of(node, what), self.taken)


def _said(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}
