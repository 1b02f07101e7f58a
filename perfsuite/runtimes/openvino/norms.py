"""Norms over axes, written as sums of what is added up, where OpenVINO does not read them rightly.

Of ReduceL1, ReduceLogSum and ReduceLogSumExp of the operator sets 13 to 17 it does not read the
axes, and reduces over all (2026.4). A GlobalLpPool it takes with a known batch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.export.bodies import bodies, every_node
from perfsuite.export.parts import part_of
from perfsuite.export.shapes import ranks

if TYPE_CHECKING:
    import onnx

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set
_MISREAD = ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp")
_FROM, _TO = 13, 17  # the operator sets of which they are misread
_POOL = "GlobalLpPool"
_AXES_ARE_INPUTS = 13  # the opset since which ReduceSum takes its axes as an input


def with_sums(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy if need be, in which such norms are sums, in bodies too.

    A GlobalLpPool of which it is not known how many sides it pools stays.
    """
    opset = max((one.version for one in model.opset_import if one.domain in _ONNX), default=1)
    kinds = (*(_MISREAD if _FROM <= opset <= _TO else ()), _POOL)
    if not any(node.op_type in kinds and node.domain in _ONNX for node in every_node(model.graph)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    _Writer(copy.graph, opset, kinds, ranks(model)).rewrite(copy.graph)
    return copy


class _Writer:
    """Rewrites nodes; constants that they need become initializers of the outermost graph."""

    def __init__(
        self, top: onnx.GraphProto, opset: int, kinds: tuple[str, ...], ranks: dict[str, int]
    ) -> None:
        self.top, self.opset, self.kinds, self.ranks = top, opset, kinds, ranks

    def rewrite(self, graph: onnx.GraphProto) -> None:
        nodes = [made for node in graph.node for made in self._written(node)]
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)

    def _written(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        from onnx import helper

        for body in bodies(node):
            self.rewrite(body)
        if node.op_type not in self.kinds or node.domain not in _ONNX:
            return [node]
        said = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        axes, rank = said.get("axes"), self.ranks.get(node.input[0], 0)
        if node.op_type == _POOL:
            axes = list(range(2, rank))
        elif axes is None:
            return [node]  # over all of them
        if not axes:
            return [node]
        return list(self._steps(node, said, axes))

    def _steps(
        self, node: onnx.NodeProto, said: dict[str, Any], axes: list[int]
    ) -> Iterator[onnx.NodeProto]:
        """Yield the nodes that give what `node` does; the last has its name."""
        value, result, name = node.input[0], node.output[0], node.name or node.output[0]
        keep = 1 if node.op_type == _POOL else said.get("keepdims", 1)
        made: list[onnx.NodeProto] = []

        def add(operator: str, *read: str, **attributes: Any) -> str:
            from onnx import helper

            part = part_of(node, str(len(made)))
            made.append(helper.make_node(operator, read, [part], part, **attributes))
            return part

        def total(of: str, keepdims: int) -> str:
            if self.opset < _AXES_ARE_INPUTS:
                return add("ReduceSum", of, axes=axes, keepdims=keepdims)
            return add("ReduceSum", of, self._constant(name, "axes", axes), keepdims=keepdims)

        if node.op_type == "ReduceL1":
            total(add("Abs", value), keep)
        elif node.op_type == "ReduceLogSum":
            add("Log", total(value, keep))
        elif node.op_type == "ReduceLogSumExp":
            self._log_sum_exp(value, axes, keep, name, add, total)
        else:
            power = float(said.get("p", 2))
            each = add("Pow", add("Abs", value), self._constant(name, "p", np.float32(power)))
            add("Pow", total(each, 1), self._constant(name, "root", np.float32(1 / power)))
        made[-1].output[0], made[-1].name = result, name
        yield from made

    def _log_sum_exp(
        self,
        value: str,
        axes: list[int],
        keep: int,
        name: str,
        add: Callable[..., str],
        total: Callable[[str, int], str],
    ) -> None:
        """Take the largest off before, so that no exponential is infinite."""
        largest = add("ReduceMax", value, axes=axes, keepdims=1)
        less = add("Sub", value, largest)
        whole = add("Add", add("Log", total(add("Exp", less), 1)), largest)
        if not keep:
            add("Squeeze", whole, self._constant(name, "squeezed", axes))

    def _constant(self, name: str, what: str, value: Any) -> str:
        from onnx import numpy_helper

        own = f"{name}/{what}"
        array = np.asarray(value, np.int64 if isinstance(value, list) else None)
        self.top.initializer.append(numpy_helper.from_array(array, own))
        return own
