"""A graph whose ranges are known, of which any number of rounded graphs can be made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from perfsuite.passes.int8.placement import place, without
from perfsuite.passes.int8.qdq import Scheme, insert
from perfsuite.passes.int8.sharing import Placement, Range

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Rounding:
    """A prepared graph and the `ranges` of its tensors.

    What reads a tensor with `infinite` values stays float, and so do the layers whose first results
    are in `stays`.
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
            stays=self.stays.union(more),
        )
        return without(placed, self.model.graph, self.infinite)

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
