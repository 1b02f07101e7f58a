"""A graph whose ranges are known, of which any number of rounded graphs can be made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from perfsuite.passes.int8.placement import (
    CONVOLUTIONS,
    PRODUCTS,
    channel_axis,
    place,
    without,
)
from perfsuite.passes.int8.qdq import Scheme, has_scale, have_scales, insert
from perfsuite.passes.int8.sharing import Placement, Range

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Rounding:
    """A prepared graph and the `ranges` of its tensors.

    What reads a tensor with `infinite` values stays float, and so do the layers whose first results
    are in `stays`, and those whose input or weights are too small for a scale (they would be 0).
    """

    model: onnx.ModelProto
    scheme: Scheme
    ranges: Mapping[str, Range]
    infinite: tuple[str, ...] = ()
    stays: frozenset[str] = frozenset()

    def placement(self, more: Collection[str] = ()) -> Placement:
        """Return what is rounded if the layers with the first results `more` are not, either."""
        placed = place(
            self.model.graph,
            sum_in_accumulator=self.scheme.sum_in_accumulator,
            ranges=self.ranges,
            float_operators=self.scheme.float_operators,
            stays=self.stays.union(self.small, more),
        )
        ranges = {**self.ranges, **placed.joined}
        lost = [group[0] for group in placed.groups if not self._has_scale(group, ranges)]
        return without(placed, self.model.graph, (*self.infinite, *lost))

    def _has_scale(self, group: Collection[str], ranges: Mapping[str, Range]) -> bool:
        lows, highs = zip(*(ranges[name] for name in group), strict=True)
        return has_scale(min(lows), max(highs), signed=self.scheme.signed)

    @cached_property
    def small(self) -> frozenset[str]:
        """Return the first results of the layers whose weights are too small for a scale."""
        from onnx import numpy_helper

        constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        layers = [
            node
            for node in self.model.graph.node
            if node.op_type in (*CONVOLUTIONS, *PRODUCTS) and node.input[1] in constants
        ]
        return frozenset(
            node.output[0]
            for node in layers
            if not have_scales(
                numpy_helper.to_array(constants[node.input[1]]),
                channel_axis(node),
                self.scheme.weight_limit,
            )
        )

    @cached_property
    def whole(self) -> Placement:
        """Return what is rounded if all is that can be."""
        return self.placement()

    def graph(self, placement: Placement) -> onnx.ModelProto:
        """Return a copy of the graph, rounded; its biases are as they were."""
        rounded = type(self.model)()
        rounded.CopyFrom(self.model)
        insert(rounded.graph, placement, self.ranges, self.scheme)
        return rounded
