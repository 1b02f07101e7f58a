"""Zeros that are put around what convolutions read become padding of the convolutions.

TensorFlow's "same" padding and `nn.ZeroPad2d` are operators of their own. OpenVINO (2026.4) takes
them into a convolution if nothing else reads them; else, where another integer than zero stands for
zero, all convolutions behind them run in float. ONNX Runtime (1.32) runs them as they are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import names_read_by

if TYPE_CHECKING:
    import onnx

_PADS, _VALUE, _AXES = 1, 2, 3  # the places of a Pad's inputs
_OWN = (b"", b"NOTSET", b"VALID")  # a convolution says itself how it is padded
_ONNX = ("", "ai.onnx")


def with_own_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which convolutions pad by themselves, as far as zeros around them do it.

    A Pad stays for other readers, and where it pads samples or channels, or takes values off.
    """
    made = type(model)()
    made.CopyFrom(model)
    _Writer(made.graph).write()
    return made


class _Writer:
    def __init__(self, graph: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self.graph = graph
        self.constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        self.pads = {
            node.output[0]: node
            for node in graph.node
            if node.op_type == "Pad" and node.domain in _ONNX and self._adds_zeros(node)
        }

    def write(self) -> None:
        for node in self.graph.node:
            if node.op_type == "Conv" and node.domain in _ONNX:
                while node.input[0] in self.pads and self._merged(node, self.pads[node.input[0]]):
                    pass
        read = Counter(name for node in self.graph.node for name in names_read_by(node))
        read.update(value.name for value in self.graph.output)
        for name, node in reversed(self.pads.items()):
            if not read[name]:
                read.subtract(node.input)
                self.graph.node.remove(node)

    def _adds_zeros(self, node: onnx.NodeProto) -> bool:
        mode = next((one.s for one in node.attribute if one.name == "mode"), b"constant")
        value = _input(node, _VALUE)
        known = not value or (value in self.constants and not self.constants[value].any())
        return mode == b"constant" and known

    def _merged(self, node: onnx.NodeProto, pad: onnx.NodeProto) -> bool:
        """Let a convolution pad as a Pad before it does, too; tell whether it can."""
        weights = self.constants.get(node.input[1])
        if weights is None:
            return False
        added = self._numbers(pad, weights.ndim)
        said = next((one.s for one in node.attribute if one.name == "auto_pad"), b"NOTSET")
        if added is None or said not in _OWN or added[:, :2].any() or (added < 0).any():
            return False
        from onnx import helper

        kept = [one for one in node.attribute if one.name not in ("pads", "auto_pad")]
        own = [one.ints for one in node.attribute if one.name == "pads"]
        pads = added[:, 2:].ravel() + np.array(own[0] if own else 0, np.int64)
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads.tolist())])
        node.input[0] = pad.input[0]
        return True

    def _numbers(self, pad: onnx.NodeProto, rank: int) -> np.ndarray | None:
        """Return what a Pad adds before and behind each of its axes; None if it is not known."""
        pads, axes = self.constants.get(pad.input[_PADS]), np.arange(rank)
        if _input(pad, _AXES):
            named = self.constants.get(pad.input[_AXES])
            if named is None:
                return None
            axes = named % rank
        if pads is None:
            return None
        added = np.zeros((2, rank), np.int64)
        added[:, axes] = pads.reshape(2, -1)
        return added


def _input(node: onnx.NodeProto, place: int) -> str:
    return node.input[place] if len(node.input) > place else ""
