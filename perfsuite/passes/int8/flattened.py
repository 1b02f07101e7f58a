"""The values that all readers of a tensor answer alike, which need no steps of its scale.

Below -3 a hard swish is 0: where nothing else reads a tensor, its range may begin there, and eight
bits are finer above. Where an activation only comes near to a constant, the range ends where it is
as near as a quarter of a step of its own results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from perfsuite.export.bodies import names_read_by
from perfsuite.passes.int8.sharing import Range

if TYPE_CHECKING:
    import onnx

# Outside of these an activation is a constant to within a thousandth.
_NEAR: dict[str, Range] = {
    "HardSwish": (-3.0, math.inf),
    "Sigmoid": (-7.0, 7.0),
    "Tanh": (-4.0, 4.0),
    "Gelu": (-4.0, math.inf),
    "Elu": (-7.0, math.inf),
    "Mish": (-9.0, math.inf),
    "Softplus": (-7.0, math.inf),
}
_SWISH = -9.0  # below it x * sigmoid(x) is nearer to 0 than that
_EVERYTHING: Range = (-math.inf, math.inf)


def seen_by_readers(
    graph: onnx.GraphProto, ranges: Mapping[str, Range], limits: Mapping[str, Range]
) -> dict[str, Range]:
    """Return `ranges` without what no reader tells from the end of the range.

    `graph` has its constants as initializers. `limits` are those of some tensors, where they are
    known already.
    """
    readers = Readers(graph)
    found = {}
    for name, (low, high) in ranges.items():
        least, most = limits[name] if name in limits else readers.seen(name)
        first = min(max(low, least), most)
        found[name] = first, max(first, min(high, most))
    return found


class Readers:
    """Who reads each tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.producer = {name: node for node in graph.node for name in node.output}
        self.outputs = {value.name for value in graph.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in names_read_by(node):
                self.readers.setdefault(name, []).append(node)

    def seen(self, name: str) -> Range:
        """Return the values of a tensor that its readers tell from those outside."""
        nodes = self.readers.get(name, [])
        if name in self.outputs or not nodes:
            return _EVERYTHING
        gated = self._gated(name, nodes)
        if gated is not None:
            return gated, math.inf
        lows, highs = zip(*(self._of(node) for node in nodes), strict=True)
        return min(lows), max(highs)

    def _of(self, node: onnx.NodeProto) -> Range:
        if node.op_type == "Clip":
            bounds = [
                self._scalar(name) if name else None for name in [*node.input[1:], "", ""][:2]
            ]
            low, high = bounds
            known = all(
                b is not None or not n for b, n in zip(bounds, node.input[1:], strict=False)
            )
            if not known:
                return _EVERYTHING
            return -math.inf if low is None else low, math.inf if high is None else high
        if node.op_type == "HardSigmoid":
            slope, middle = _attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5)
            return (-middle / slope, (1 - middle) / slope) if slope > 0 else _EVERYTHING
        if node.op_type == "Elu" and _attribute(node, "alpha", 1.0) != 1.0:
            return _EVERYTHING
        return _NEAR.get(node.op_type, _EVERYTHING)

    def _gated(self, name: str, nodes: list[onnx.NodeProto]) -> float | None:
        """Return below which value x * gate(x) is 0, if that is all that becomes of a tensor."""
        products = [node for node in nodes if node.op_type == "Mul" and self._other(node, name)]
        if len(nodes) != 2 or len(products) != 1:
            return None
        gate = self.producer.get(self._other(products[0], name))
        while gate is not None and gate.op_type in ("Mul", "Div"):  # by a constant
            given = [one for one in gate.input if one not in self.constants]
            scales = [self._scalar(one) for one in gate.input if one in self.constants]
            if len(given) != 1 or scales == [None]:
                return None
            gate = self.producer.get(given[0])
        return None if gate is None else self._zero_below(gate, name)

    def _zero_below(self, gate: onnx.NodeProto, name: str) -> float | None:
        """Return the value of a tensor below which a gate is 0."""
        if gate.op_type in ("Sigmoid", "HardSigmoid") and gate.input[0] == name:
            return _SWISH if gate.op_type == "Sigmoid" else self._of(gate)[0]
        if gate.op_type != "Clip" or self._of(gate)[0] != 0.0:
            return None
        before = self.producer.get(gate.input[0])
        if before is None or before.op_type != "Add" or name not in before.input:
            return None
        moved = self._scalar(self._other(before, name))
        return None if moved is None else -moved

    def _other(self, node: onnx.NodeProto, name: str) -> str:
        """Return the operand that is not `name`, '' if both are."""
        return next((one for one in node.input if one != name), "")

    def _scalar(self, name: str) -> float | None:
        from onnx import numpy_helper

        tensor = self.constants.get(name)
        if tensor is None:
            return None
        value: Any = numpy_helper.to_array(tensor)
        return float(value.flat[0]) if value.size == 1 else None


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    return next(_values(node, name), default)


def _values(node: onnx.NodeProto, name: str) -> Iterator[float]:
    return (float(one.f) for one in node.attribute if one.name == name)
