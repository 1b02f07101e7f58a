"""Operators that name the axes they pad are given a number for each axis instead.

Where ONNX Runtime (1.24) moves a Transpose past a Pad it takes the pads for those of all axes in
their order, whatever axes the Pad names, and fails or pads others. A CenterCropPad is run as
operators of which one is such a Pad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import names_made, unused_name
from perfsuite.export.shapes import ranks

if TYPE_CHECKING:
    import onnx

_AXES = 3  # the place of a Pad's axes among its inputs


def with_whole_pads(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which no Pad or CenterCropPad names axes.

    It stays where the axes are not constant, where it is not known how many there are, and in
    bodies of control flow.
    """
    found = [node for node in model.graph.node if _names_axes(node)]
    if not found:
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    _Writer(copy.graph, ranks(model)).write()
    return copy


def _names_axes(node: onnx.NodeProto) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "CenterCropPad":
        return any(one.name == "axes" for one in node.attribute)
    return node.op_type == "Pad" and len(node.input) > _AXES and bool(node.input[_AXES])


class _Writer:
    def __init__(self, graph: onnx.GraphProto, ranks: dict[str, int]) -> None:
        from onnx import numpy_helper

        self.graph, self.ranks = graph, ranks
        self.constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.taken = names_made(graph)

    def write(self) -> None:
        made: list[onnx.NodeProto] = []
        for node in self.graph.node:
            if _names_axes(node):
                made += self._pad(node) if node.op_type == "Pad" else self._crop(node)
            made.append(node)
        kept = [type(node).FromString(node.SerializeToString()) for node in made]
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def _pad(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Give a Pad a number for each side of each axis; return the nodes that go before it."""
        axes, rank = self.constants.get(node.input[_AXES]), self.ranks.get(node.input[0])
        if axes is None or rank is None:
            return []
        places = np.concatenate([axes % rank, axes % rank + rank])
        whole = np.zeros(2 * rank, np.int64)
        pads = self.constants.get(node.input[1])
        before: list[onnx.NodeProto] = []
        if pads is not None:
            whole[places] = pads
            node.input[1] = self._constant(node, "pads", whole)
        else:
            given = self._constant(node, "no_pads", whole)
            before = self._scattered(node, given, self._constant(node, "places", places))
        del node.input[_AXES:]
        return before

    def _crop(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Give a CenterCropPad the sizes that other axes have; return the nodes before it."""
        from onnx import helper

        (axes,) = (one for one in node.attribute if one.name == "axes")
        places = self._constant(node, "places", np.array(axes.ints, np.int64))
        sizes = self._name(node, "sizes")
        shape = helper.make_node("Shape", [node.input[0]], [sizes], sizes)
        node.attribute.remove(axes)
        return [shape, *self._scattered(node, sizes, places)]

    def _scattered(self, node: onnx.NodeProto, whole: str, places: str) -> list[onnx.NodeProto]:
        """Have a node read its numbers at their places in `whole`; return the node for that."""
        from onnx import helper

        made = self._name(node, "whole")
        read = [whole, places, node.input[1]]
        node.input[1] = made
        return [helper.make_node("ScatterElements", read, [made], made, axis=0)]

    def _constant(self, node: onnx.NodeProto, what: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = self._name(node, what)
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _name(self, node: onnx.NodeProto, what: str) -> str:
        return unused_name(f"{node.name or node.output[0]}/{what}", self.taken)
