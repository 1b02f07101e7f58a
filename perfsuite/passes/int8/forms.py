"""Matrix products are written in the forms that engines have 8-bit kernels for.

ONNX Runtime (1.24) makes one float Gemm of a MatMul and the Add of a bias, before it looks for
8-bit operators, wherever shapes are known and the bias is a vector. With two axes the pair becomes
a Gemm here, which it runs in 8 bits. With more, the bias gets leading axes of length 1, which
changes no answer and keeps the two apart: the product runs in 8 bits and the sum in float.

Weights have 8-bit kernels as the second operand alone, so that a product with a constant as its
first is transposed, and an Einsum that is a product is written as one. A transposed convolution in
a few large groups becomes one for each group: OpenVINO (2026.0) runs these in 8 bits, and none in
groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import bodies, names_made, names_read, unused_name
from perfsuite.export.shapes import ranks
from perfsuite.passes.int8.einsums import as_product

if TYPE_CHECKING:
    import onnx


_PAYS = 16  # products for each value that has to be transposed, or it costs more than it gains
# Of transposed convolutions: more groups, or smaller ones, are slower one by one than together.
_MOST_GROUPS, _LEAST_CHANNELS = 4, 32


def _pays(weights: np.ndarray) -> bool:
    """Tell whether a product with such weights first is worth what transposing it costs."""
    rows, inner = weights.shape[-2:]
    return bool(rows * inner >= _PAYS * (rows + inner))


def in_known_forms(
    model: onnx.ModelProto, float_operators: Collection[str] = ()
) -> onnx.ModelProto:
    """Return a copy of `model` whose layers with constant weights have forms that engines know.

    A Gemm has no factors and no transposed first operand; the weights of a MatMul have two axes and
    are its second operand; an Einsum that is such a product is one; transposed convolutions have no
    groups, if these are few. What the engine runs in float alone stays as it is.
    """
    made = type(model)()
    made.CopyFrom(model)
    _Writer(made.graph, ranks(model), float_operators).write()
    return made


class _Writer:
    def __init__(
        self, graph: onnx.GraphProto, known: Mapping[str, int], float_operators: Collection[str]
    ) -> None:
        self.graph, self.float_operators = graph, float_operators
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        own = {name: len(tensor.dims) for name, tensor in self.constants.items()}
        self.ranks = {**known, **own}
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
                if node.op_type in self.float_operators:
                    pass
                elif node.op_type == "Gemm" and (turned := self._transposed_gemm(node)):
                    nodes += turned
                    continue
                elif node.op_type == "Gemm":
                    nodes += self._gemm(node)
                elif node.op_type == "MatMul" and (turned := self._transposed(node)):
                    nodes += turned
                    continue
                elif node.op_type == "MatMul":
                    self._product(node)
                elif node.op_type == "Einsum" and (steps := self._summed(node)):
                    nodes += steps
                    continue
                elif node.op_type == "ConvTranspose" and (parts := self._in_groups(node)):
                    nodes += parts
                    continue
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

    def _transposed(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes of a product whose first operand is constant, transposed; else []."""
        weights, rank = self._float(node.input[0]), self.ranks.get(node.input[1], 0)
        if weights is None or node.input[1] in self.constants or not 2 <= weights.ndim <= rank:
            return []
        if set(weights.shape[:-2]) - {1} or not _pays(weights):
            return []
        return self._turned(node, "turned", weights.reshape(weights.shape[-2:]), rank)

    def _transposed_gemm(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes of a Gemm whose first operand is constant, transposed; else []."""
        from onnx import helper

        said = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        weights, bias = self._float(node.input[0]), node.input[2] if len(node.input) > 2 else ""
        beta, added = said.get("beta", 1.0), self._float(bias)
        if weights is None or node.input[1] in self.constants or not _pays(weights):
            return []
        if bias and beta != 1.0:
            if added is None:
                return []
            bias = self._constant(bias, f"times {beta}", added * beta)
        alpha, turned = said.get("alpha", 1.0), bool(said.get("transA", 0))
        weights = (weights.T if turned else weights) * alpha
        what = f"turned times {alpha}" if not turned else f"times {alpha}"
        made = self._turned(node, what, weights, 2, given_turned=bool(said.get("transB", 0)))
        if bias:
            made[-1].output[0] = unused_name(f"{node.output[0]}_without_bias", self.taken)
            read, name = [made[-1].output[0], bias], self._beside(node, "Add")
            made += self._as(node, [helper.make_node("Add", read, [node.output[0]], name)])
        return made

    def _turned(
        self,
        node: onnx.NodeProto,
        what: str,
        weights: np.ndarray,
        rank: int,
        *,
        given_turned: bool = False,
    ) -> list[onnx.NodeProto]:
        """Return the nodes of weights (rows, columns) times a node's second operand, transposed.

        That operand has `rank` axes, and may be transposed already. `what` the weights are of the
        node's first operand tells them from others that are made of it.
        """
        from onnx import helper

        swap = [*range(rank - 2), rank - 1, rank - 2]
        given, made = (
            unused_name(f"{node.output[0]}_{what}", self.taken) for what in ("turned", "product")
        )
        first = node.input[1] if given_turned else given
        turned = self._constant(node.input[0], what, weights.T)
        product = helper.make_node("MatMul", [first, turned], [made], node.name)
        before, behind = (
            helper.make_node(
                "Transpose", [one], [other], self._beside(node, "Transpose"), perm=swap
            )
            for one, other in ((node.input[1], given), (made, node.output[0]))
        )
        return self._as(node, [*([] if given_turned else [before]), product, behind])

    def _summed(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes of an Einsum of a value and a constant, with a product; else []."""
        from onnx import helper

        place = 0 if node.input[0] in self.constants else 1
        weights, rank = self._float(node.input[place]), self.ranks.get(node.input[1 - place])
        if len(node.input) != 2 or "MatMul" in self.float_operators:
            return []
        if weights is None or rank is None or node.input[1 - place] in self.constants:
            return []
        equation = next(one.s.decode() for one in node.attribute if one.name == "equation")
        product = as_product(equation, weights, place, rank)
        if product is None:
            return []
        matrix = self._constant(node.input[place], f"{equation} {place}", product.matrix)
        same = [0] * product.kept  # sides that a Reshape leaves
        steps: list[tuple[str, list[str], dict[str, list[int]]]] = []
        if product.before != tuple(range(rank)):
            steps.append(("Transpose", [], {"perm": list(product.before)}))
        if product.summed > 1:
            steps.append(("Reshape", [self._sides(node, [*same, len(product.matrix)])], {}))
        steps.append(("MatMul", [matrix], {}))
        if len(product.columns) > 1:
            steps.append(("Reshape", [self._sides(node, [*same, *product.columns])], {}))
        if product.after != tuple(range(len(product.after))):
            steps.append(("Transpose", [], {"perm": list(product.after)}))
        made: list[onnx.NodeProto] = []
        given = node.input[1 - place]
        for number, (operator, more, attributes) in enumerate(steps, 1):
            last = number == len(steps)
            result = node.output[0] if last else unused_name(f"{node.output[0]}_part", self.taken)
            name = node.name if operator == "MatMul" else self._beside(node, operator)
            made.append(helper.make_node(operator, [given, *more], [result], name, **attributes))
            if operator == "MatMul":
                self.ranks[given] = product.kept + 1
                self._product(made[-1])
            given = result
        return self._as(node, made)

    def _sides(self, node: onnx.NodeProto, sides: list[int]) -> str:
        """Return the name of a new constant with the sides that a Reshape is to give."""
        name = unused_name(f"{node.output[0]}_sides", self.taken)
        self._integers(name, sides)
        return name

    def _in_groups(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes of a transposed convolution, one for each of its groups; else []."""
        from onnx import helper

        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        weights, bias = self._float(node.input[1]), node.input[2] if len(node.input) > 2 else ""
        biases = self._float(bias)
        if weights is None or not 1 < groups <= _MOST_GROUPS or (bias and biases is None):
            return []
        channels = weights.shape[0] // groups
        if min(channels, weights.shape[1]) < _LEAST_CHANNELS:
            return []
        parts, results = (
            [unused_name(f"{node.output[0]}_{what}{group}", self.taken) for group in range(groups)]
            for what in ("part", "group")
        )
        sizes = unused_name(f"{node.output[0]}_sizes", self.taken)
        self._integers(sizes, [channels] * groups)
        made = [
            helper.make_node(
                "Split", [node.input[0], sizes], parts, self._beside(node, "Split"), axis=1
            )
        ]
        for group, (part, result) in enumerate(zip(parts, results, strict=True)):
            place = slice(group * channels, (group + 1) * channels)
            read = [part, self._constant(node.input[1], f"group {group}", weights[place])]
            if biases is not None:
                own = np.split(biases, groups)[group]
                read.append(self._constant(bias, f"group {group}", own))
            one = type(node)()
            one.CopyFrom(node)
            one.name = self._beside(node, f"{node.op_type}_group{group}")
            one.input[:], one.output[:] = read, [result]
            kept = [attribute for attribute in one.attribute if attribute.name != "group"]
            del one.attribute[:]
            one.attribute.extend(kept)
            made.append(one)
        name = self._beside(node, "Concat")
        made.append(helper.make_node("Concat", results, [node.output[0]], name, axis=1))
        return self._as(node, made)

    def _beside(self, node: onnx.NodeProto, what: str) -> str:
        """Return a name for a node that belongs to the module of another one."""
        scope = node.name.rpartition("/")[0] or node.name or node.output[0]
        return unused_name(f"{scope}/{what}", self.taken)

    @staticmethod
    def _as(node: onnx.NodeProto, made: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Return nodes made of another one, with that one's metadata."""
        for one in made:
            if not one.metadata_props:
                one.metadata_props.extend(node.metadata_props)
        return made

    def _integers(self, name: str, values: list[int]) -> None:
        from onnx import numpy_helper

        tensor = numpy_helper.from_array(np.array(values, np.int64), name)
        self.graph.initializer.append(tensor)
        self.constants[name] = tensor

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
