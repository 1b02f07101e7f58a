"""Operators that name the axes they pad or resize are given a number for each axis instead.

Where ONNX Runtime (1.32) moves a Transpose past a Pad or a Resize it takes their numbers for those
of all axes in their order, whatever axes they name, and fails or pads others. A CenterCropPad is
run as operators of which one is such a Pad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from perfsuite.export.bodies import bodies, every_node, names_made, unused_name
from perfsuite.export.constants import constants_of
from perfsuite.export.parts import part_of
from perfsuite.export.shapes import ranks

if TYPE_CHECKING:
    import onnx

_PAD_AXES = 3  # the places of inputs
_SCALES, _SIZES = 2, 3
_NAMED_BY_ATTRIBUTE = ("CenterCropPad", "Resize")


def with_whole_axes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which no such operator names axes.

    It stays where the axes are not constant, where it is not known how many there are, and where a
    Resize keeps the aspect ratio of those that it names or takes a part of them.
    """
    from onnx import shape_inference

    if not any(names_axes(node) for node in every_node(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    _write(copy.graph, inferred.graph, _Known(ranks(model), {}, names_made(copy.graph)))
    return copy


class _Known(NamedTuple):
    """What is known outside a graph: ranks and constants by name, and all names that exist."""

    ranks: dict[str, int]
    constants: dict[str, np.ndarray]
    taken: set[str]


def _write(graph: onnx.GraphProto, inferred: onnx.GraphProto, outer: _Known) -> None:
    """Rewrite a graph, and the bodies in it; `inferred` is the same with all that it tells."""
    known = _Known(
        {**outer.ranks, **_own_ranks(inferred)},
        {**outer.constants, **constants_of(graph)},
        outer.taken,
    )
    for node, other in zip(graph.node, inferred.node, strict=True):
        for body, told in zip(bodies(node), bodies(other), strict=True):
            _write(body, told, known)
    _Writer(graph, known).write()


def _own_ranks(graph: onnx.GraphProto) -> dict[str, int]:
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }


def names_axes(node: onnx.NodeProto) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in _NAMED_BY_ATTRIBUTE:
        return any(one.name == "axes" for one in node.attribute)
    return node.op_type == "Pad" and bool(_input(node, _PAD_AXES))


def _input(node: onnx.NodeProto, place: int) -> str:
    return node.input[place] if len(node.input) > place else ""


class _Writer:
    def __init__(self, graph: onnx.GraphProto, known: _Known) -> None:
        self.graph = graph
        self.ranks, self.constants, self.taken = known

    def write(self) -> None:
        writers = {"Pad": self._pad, "CenterCropPad": self._crop, "Resize": self._resize}
        made: list[onnx.NodeProto] = []
        for node in self.graph.node:
            if names_axes(node):
                made += writers[node.op_type](node)
            made.append(node)
        kept = [type(node).FromString(node.SerializeToString()) for node in made]
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def _pad(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Give a Pad a number for each side of each axis; return the nodes that go before it."""
        axes, rank = self.constants.get(node.input[_PAD_AXES]), self.ranks.get(node.input[0])
        if axes is None or rank is None:
            return []
        places = np.concatenate([axes % rank, axes % rank + rank])
        del node.input[_PAD_AXES:]
        return self._whole(node, 1, np.zeros(2 * rank, np.int64), places)

    def _crop(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Give a CenterCropPad the sizes that other axes have; return the nodes before it."""
        return self._sized(node, 1, _axes_off(node))

    def _resize(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Give a Resize the sizes that other axes have, or scales of 1; return the nodes before."""
        said = {one.name: one.s for one in node.attribute}
        kept = said.get("keep_aspect_ratio_policy", b"stretch") != b"stretch"
        if kept or said.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
            return []
        if _input(node, _SIZES):
            return self._sized(node, _SIZES, _axes_off(node))
        rank = self.ranks.get(node.input[0])
        if rank is None:
            return []
        return self._whole(node, _SCALES, np.ones(rank, np.float32), _axes_off(node) % rank)

    def _whole(
        self, node: onnx.NodeProto, at: int, others: np.ndarray, places: np.ndarray
    ) -> list[onnx.NodeProto]:
        """Have a node read its numbers among the `others`; return the nodes that it needs."""
        numbers = self.constants.get(node.input[at])
        if numbers is None:
            return self._scattered(node, at, self._constant(node, "others", others), places)
        others[places] = numbers
        node.input[at] = self._constant(node, "whole", others)
        return []

    def _sized(self, node: onnx.NodeProto, at: int, places: np.ndarray) -> list[onnx.NodeProto]:
        """Have a node read its sizes among those of its input; return the nodes that it needs."""
        from onnx import helper

        sizes = self._name(node, "sizes")
        shape = helper.make_node("Shape", [node.input[0]], [sizes], sizes)
        return [shape, *self._scattered(node, at, sizes, places)]

    def _scattered(
        self, node: onnx.NodeProto, at: int, others: str, places: np.ndarray
    ) -> list[onnx.NodeProto]:
        from onnx import helper

        made = self._name(node, "whole")
        read = [others, self._constant(node, "places", places), node.input[at]]
        node.input[at] = made
        return [helper.make_node("ScatterElements", read, [made], made, axis=0)]

    def _constant(self, node: onnx.NodeProto, what: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = self._name(node, what)
        self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _name(self, node: onnx.NodeProto, what: str) -> str:
        return unused_name(part_of(node, what), self.taken)


def _axes_off(node: onnx.NodeProto) -> Any:
    """Take the axes that a node names by an attribute off it, and return them."""
    (axes,) = (one for one in node.attribute if one.name == "axes")
    found = np.array(axes.ints, np.int64)
    node.attribute.remove(axes)
    return found
