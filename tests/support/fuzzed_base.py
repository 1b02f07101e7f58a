"""What graphs drawn at random have in common: nodes, constants, weights, an opset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper


class Drawing:
    """A graph as it grows."""

    def __init__(self, draw: Any, opset: int) -> None:
        self.draw, self.opset = draw, opset
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shared: list[tuple[str, tuple[int, ...]]] = []

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        number = len(self.nodes)
        names = [f"v{number}_{index}" for index in range(outputs)]
        node = helper.make_node(operator, inputs, names, f"n{number}", **attributes)
        self.nodes.append(node)
        return names

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        array = np.asarray(array, dtype)
        name = f"c{len(self.constants) + len(self.nodes)}_{len(self.nodes)}"
        if self.pick(False, False, True):
            value = numpy_helper.from_array(array, name)
            return self.add("Constant", value=value)[0]
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *numbers: int) -> str:
        return self.constant(list(numbers), np.int64)

    def weights(self, *shape: int, fan: int | None = None) -> str:
        same = [name for name, known in self.shared if known == shape]
        if same and self.pick(False, True):
            return same[0]
        spread = (2 / max(1, fan or np.prod(shape[1:]))) ** 0.5
        name = self.constant(self.rng.normal(0, spread, shape))
        self.shared.append((name, shape))
        return name

    def reduced(self, name: str, axes: Sequence[int], *, keep: bool) -> str:
        """Return a reduction; its axes are an attribute, and an input from some opset on."""
        kind = self.pick("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2", "ReduceMin")
        if self.opset >= (13 if kind == "ReduceSum" else 18):
            return self.add(kind, name, self.integers(*axes), keepdims=int(keep))[0]
        return self.add(kind, name, axes=list(axes), keepdims=int(keep))[0]

    def written(self, shape: Sequence[int], outputs: Sequence[str]) -> onnx.ModelProto:
        """Return the model that takes `x`, samples of a shape, and gives values."""
        kept = list(dict.fromkeys(name for name in outputs if name != "x")) or self.add("Relu", "x")
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in kept],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        version = self.pick(4, 8) if self.opset < 18 else 10
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)
