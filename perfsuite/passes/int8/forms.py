"""Matrix products are written in the forms that engines have 8-bit kernels for.

ONNX Runtime (1.24) makes one float Gemm of a MatMul and the Add of a bias, before it looks for
8-bit operators, wherever shapes are known and the bias is a vector. With two axes the pair becomes
a Gemm here, which it runs in 8 bits. With more, the bias gets leading axes of length 1, which
changes no answer and keeps the two apart: the product runs in 8 bits and the sum in float.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.passes.int8.graphs import bodies, names_made, names_read, unused_name

if TYPE_CHECKING:
    import onnx


def in_known_forms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` whose matrix products with constant weights are plain ones.

    A Gemm has no factors and no transposed first operand; the weights of a MatMul have two axes.
    """
    from onnx import shape_inference

    made = type(model)()
    made.CopyFrom(model)
    known = shape_inference.infer_shapes(model, data_prop=True).graph
    _Writer(made.graph, known).write()
    return made


class _Writer:
    def __init__(self, graph: onnx.GraphProto, known: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.ranks = {name: len(tensor.dims) for name, tensor in self.constants.items()}
        for value in (*known.input, *known.value_info, *known.output):
            if value.type.tensor_type.HasField("shape"):
                self.ranks.setdefault(value.name, len(value.type.tensor_type.shape.dim))
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(value.name for value in graph.output)
        self.uses.update(
            name for node in graph.node for body in bodies(node) for name in names_read(body)
        )
        self.reader = {name: node for node in reversed(graph.node) for name in node.input}
        self.taken = names_made(graph)
        self.gone: set[str] = set()  # results whose node became part of another
        self.made: dict[tuple[str, str], str] = {}

    def write(self) -> None:
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.node:
            if node.output and node.output[0] in self.gone:
                continue
            if node.domain in ("", "ai.onnx") and len(node.input) > 1:
                if node.op_type == "Gemm":
                    nodes += self._gemm(node)
                elif node.op_type == "MatMul":
                    self._product(node)
            nodes.append(node)
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:]
        self.graph.node.extend(kept)
        used = names_read(self.graph) | {value.name for value in self.graph.output}
        tensors = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(tensors)

    def _gemm(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Put the factors of a Gemm into its constants; return a node to go before it, if any."""
        from onnx import helper

        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        bias = node.input[2] if len(node.input) > 2 else ""
        weights, fixed = self._float(node.input[1]), not bias or self._float(bias) is not None
        if weights is None or not fixed:
            return []
        if alpha != 1.0:
            node.input[1] = self._constant(node.input[1], f"times {alpha}", weights * alpha)
        values = self._float(bias)
        if values is not None and beta != 1.0:
            node.input[2] = self._constant(bias, f"times {beta}", values * beta)
        kept = [one for one in node.attribute if one.name == "transB"]
        del node.attribute[:]
        node.attribute.extend(kept)
        if not attributes.get("transA", 0):
            return []
        turned = unused_name(f"{node.output[0]}_transposed", self.taken)
        first = helper.make_node(
            "Transpose", [node.input[0]], [turned], f"{node.name}_Transpose", perm=[1, 0]
        )
        node.input[0] = turned
        return [first]

    def _product(self, node: onnx.NodeProto) -> None:
        weights, rank = self._float(node.input[1]), self.ranks.get(node.input[0], 0)
        if weights is None:
            return
        if 2 < weights.ndim <= rank and set(weights.shape[:-2]) == {1}:
            node.input[1] = self._constant(
                node.input[1], "matrix", weights.reshape(weights.shape[-2:])
            )
            weights = weights.reshape(weights.shape[-2:])
        follower = self.reader.get(node.output[0])
        if weights.ndim != 2 or rank < 2 or self.uses[node.output[0]] != 1 or follower is None:
            return
        if follower.op_type != "Add" or follower.domain not in ("", "ai.onnx"):
            return
        place = 1 if follower.input[0] == node.output[0] else 0
        bias = self._float(follower.input[place])
        if bias is None or bias.shape[-1:] != weights.shape[1:] or bias.size != weights.shape[1]:
            return
        if bias.ndim > rank:
            return
        if rank > 2:
            shape = (*[1] * (rank - 1), bias.size)
            name = self._constant(follower.input[place], f"{rank} axes", bias.reshape(shape))
            follower.input[place] = name
            return
        name = self._constant(follower.input[place], "vector", bias.reshape(-1))
        node.op_type = "Gemm"
        node.input.append(name)
        node.output[0] = follower.output[0]
        self.gone.add(follower.output[0])

    def _float(self, name: str) -> np.ndarray | None:
        from onnx import TensorProto, numpy_helper

        tensor = self.constants.get(name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT:
            return None
        values: np.ndarray = numpy_helper.to_array(tensor)
        return values

    def _constant(self, base: str, what: str, array: np.ndarray) -> str:
        """Return the name of an initializer made of another, the same for each reader of both."""
        from onnx import numpy_helper

        if (base, what) not in self.made:
            name = unused_name(base, self.taken)
            tensor = numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            self.graph.initializer.append(tensor)
            self.constants[name] = tensor
            self.made[base, what] = name
        return self.made[base, what]
