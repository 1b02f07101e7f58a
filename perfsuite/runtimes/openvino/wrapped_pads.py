"""Circular padding, which OpenVINO (2026.4) has no operator for, written as joined slices.

PyTorch exports `padding_mode="circular"` to a Pad in mode `wrap`. Gathers of the same places were
slower: of three convolutions a call took 8.7 ms with them and 7.7 ms with slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.errors import Unsupported
from perfsuite.export.bodies import bodies, every_node
from perfsuite.export.constants import constants_of
from perfsuite.export.parts import part_of

if TYPE_CHECKING:
    import onnx

_PADS, _AXES = 1, 3  # the places of a Pad's inputs
_END = 2**63 - 1


def with_joined_slices(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, without circular padding, in bodies too.

    Raises `Unsupported` where it is not known how much is padded, or that it is at most as much as
    there is, and where a side is cut.
    """
    from onnx import shape_inference

    if not any(map(_wraps, every_node(model.graph))):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    sides = dict(_sides(shape_inference.infer_shapes(copy, data_prop=True).graph))
    _Writer(copy.graph, sides).rewrite(copy.graph, {})
    return copy


def _wraps(node: onnx.NodeProto) -> bool:
    return node.op_type == "Pad" and any(
        one.name == "mode" and one.s == b"wrap" for one in node.attribute
    )


def _sides(graph: onnx.GraphProto) -> Iterator[tuple[str, list[int]]]:
    """Yield the sides of each value that has a known number of them; those that are open are 0."""
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            yield value.name, [side.dim_value for side in value.type.tensor_type.shape.dim]
    for node in graph.node:
        for body in bodies(node):
            yield from _sides(body)


class _Writer:
    """Rewrites nodes; constants that they need become initializers of the outermost graph."""

    def __init__(self, top: onnx.GraphProto, sides: Mapping[str, list[int]]) -> None:
        self.top, self.sides = top, sides

    def rewrite(self, graph: onnx.GraphProto, outer: Mapping[str, np.ndarray]) -> None:
        constants = {**outer, **constants_of(graph)}
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            for body in bodies(node):
                self.rewrite(body, constants)
            nodes += self._joined(node, constants) if _wraps(node) else [node]
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)

    def _joined(
        self, node: onnx.NodeProto, constants: Mapping[str, np.ndarray]
    ) -> list[onnx.NodeProto]:
        """Return the nodes that pad as a Pad does, one side after the other."""
        from onnx import helper

        added = self._added(node, constants)
        made: list[onnx.NodeProto] = []
        value, result, last = node.input[0], node.output[0], max(added, default=None)
        if last is None:
            return [helper.make_node("Identity", [value], [result], node.name)]
        for axis, (before, behind) in added.items():
            parts = [value]
            if before:
                made.append(self._slice(node, value, axis, -before, _END))
                parts.insert(0, made[-1].output[0])
            if behind:
                made.append(self._slice(node, value, axis, 0, behind))
                parts.append(made[-1].output[0])
            name = node.name if axis == last else part_of(node, f"axis-{axis}")
            value = result if axis == last else name
            made.append(helper.make_node("Concat", parts, [value], name, axis=axis))
        return made

    def _added(
        self, node: onnx.NodeProto, constants: Mapping[str, np.ndarray]
    ) -> dict[int, tuple[int, int]]:
        """Return what a Pad adds before and behind the axes that it changes."""
        sides = self.sides.get(node.input[0], [])
        named = node.input[_AXES] if len(node.input) > _AXES else ""
        pads = constants.get(node.input[_PADS])
        axes = constants.get(named) if named else np.arange(len(sides))
        if pads is None or axes is None or not sides:
            raise _no_wrapping(node)
        both = zip(axes.ravel() % len(sides), pads.reshape(2, -1).T.tolist(), strict=True)
        added = {int(axis): (before, behind) for axis, (before, behind) in both if before or behind}
        if any(not 0 <= one <= sides[axis] for axis, ends in added.items() for one in ends):
            raise _no_wrapping(node)
        return dict(sorted(added.items()))

    def _slice(
        self, node: onnx.NodeProto, value: str, axis: int, start: int, end: int
    ) -> onnx.NodeProto:
        from onnx import helper, numpy_helper

        name = part_of(node, f"axis-{axis}-{'before' if start < 0 else 'behind'}")
        limits = {"start": start, "end": end, "axis": axis}
        for what, number in limits.items():
            tensor = numpy_helper.from_array(np.array([number], np.int64), f"{name}/{what}")
            self.top.initializer.append(tensor)
        given = [value, *(f"{name}/{what}" for what in limits)]
        return helper.make_node("Slice", given, [name], name)


def _no_wrapping(node: onnx.NodeProto) -> Unsupported:
    return Unsupported(
        f"node '{node.name or node.output[0]}' is circular padding (a Pad in mode wrap), which "
        f"openvino has no operator for; others pad so only where the sides and what "
        f"is added to them are known; take onnxruntime, or export the model for fixed sides"
    )
