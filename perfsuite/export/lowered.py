"""A float graph becomes one of 16 bits, for engines that take types from the graph alone.

Every float32 value becomes one of 16 bits. Inputs and outputs of the graph stay float32, with a
Cast at either end. So does what is computed of shapes alone, such as sizes and coordinates, which
16 bits would falsify, what an operator takes in float32 only, by ONNX's definition of it, and
the scales of Q/DQ pairs where fp16 cannot hold them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.export.bodies import bodies, names_made, names_read, unused_name
from perfsuite.export.half_tensors import Half, half_type, keeps_scales, rounded

if TYPE_CHECKING:
    import onnx

_SHAPES = ("Shape", "Size")
_PAIR, _SCALE = ("QuantizeLinear", "DequantizeLinear"), 1
_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")
_STANDARD = ("", "ai.onnx")
# The attributes of a Constant that hold numbers, and of which type.
_CONSTANTS = {
    "value": "tensor", "value_float": "float32", "value_floats": "float32",
    "value_int": "int64", "value_ints": "int64",
}  # fmt: skip


def lowered(model: onnx.ModelProto, precision: Half, keep: Collection[str] = ()) -> onnx.ModelProto:
    """Return a copy of `model` that computes in fp16 or bf16; names of nodes and outputs stay.

    `model` has no local functions. Types are those that the newest known operator set allows, since
    engines take bf16 in graphs of older ones, too. Operators in `keep` compute in float32. Raises
    `Unsupported` for constants that fp16 cannot hold.
    """
    from onnx import shape_inference

    made = type(model)()
    made.CopyFrom(model)
    _hoist(made.graph)
    known = shape_inference.infer_shapes(made).graph
    opsets = {one.domain: one.version for one in made.opset_import}
    lowering = _Lowering(precision, opsets, names_made(made.graph), keep)
    lowering.wide_scales = not _fit(made.graph, precision)
    lowering.graph(made.graph, known, None)
    return made


@dataclass
class _Scope:
    """What is known of the values that a graph sees, those around it included."""

    types: dict[str, int]  # as they were
    constants: dict[str, onnx.TensorProto]
    still: set[str]  # that depend on shapes and constants alone
    halves: set[str] = field(default_factory=set)  # values that have 16 bits now
    casts: dict[tuple[str, int], str] = field(default_factory=dict)  # of this graph

    def inside(self) -> _Scope:
        """Return the same for a body, which makes casts of its own."""
        return _Scope(dict(self.types), dict(self.constants), set(self.still), set(self.halves))


class _Lowering:
    def __init__(
        self, precision: Half, opsets: dict[str, int], taken: set[str], keep: Collection[str]
    ) -> None:
        from onnx import TensorProto

        self.precision, self.opsets = precision, opsets
        self.half, self.full = half_type(precision), int(TensorProto.FLOAT)
        self.taken, self.keep = taken, keep
        self.wide_scales = False

    def graph(self, graph: onnx.GraphProto, known: onnx.GraphProto, outside: _Scope | None) -> None:
        """Change a graph, or a body whose float inputs have 16 bits as all around it."""
        scope = _Scope({}, {}, set()) if outside is None else outside.inside()
        self._see(graph, known, scope, is_body=outside is not None)
        nodes: list[onnx.NodeProto] = []
        for node, same in zip(graph.node, known.node, strict=True):
            for body, types in zip(bodies(node), bodies(same), strict=True):
                self.graph(body, types, scope)
            nodes += self._node(node, scope)
        nodes += self._ends(graph, nodes, scope, is_body=outside is not None)
        del graph.node[:]
        graph.node.extend(nodes)
        self._store(graph, scope)
        del graph.value_info[:]

    def _see(
        self, graph: onnx.GraphProto, known: onnx.GraphProto, scope: _Scope, *, is_body: bool
    ) -> None:
        """Note the types of a graph's values, and which values are constants."""
        for tensor in graph.initializer:
            scope.types[tensor.name] = tensor.data_type
            scope.constants[tensor.name] = tensor
            scope.halves.discard(tensor.name)
        for value in (*known.value_info, *known.input, *known.output):
            kind = value.type.tensor_type.elem_type
            if kind:
                scope.types[value.name] = kind
        for value in graph.input:
            scope.still.discard(value.name)
            if is_body and value.name not in scope.constants and self._is_float(value.name, scope):
                value.type.tensor_type.elem_type = self.half
                scope.halves.add(value.name)

    def _is_float(self, name: str, scope: _Scope) -> bool:
        return scope.types.get(name) == self.full

    def _node(self, node: onnx.NodeProto, scope: _Scope) -> Iterator[onnx.NodeProto]:
        """Yield a node whose inputs have the types that it needs, after the casts to these."""
        stays = self._stays(node, scope) or node.op_type in self.keep
        is_cast = node.op_type == "Cast" and node.domain in _STANDARD
        kept = _Kept(node, self.opsets, self._word(), stays)
        for index, name in enumerate(node.input):
            if not name or not self._is_float(name, scope):
                continue
            if is_cast and name not in scope.constants:
                continue  # it takes what there is
            wide = kept.input(index) or self._stays_scale(node, index)
            wanted = self.full if wide else self.half
            cast = self._as(name, wanted, scope)
            if cast is not None:
                yield cast
            node.input[index] = self._named(name, wanted, scope)
        lowers = False
        for index, name in enumerate(node.output):
            if name and self._is_float(name, scope):
                lowers = lowers or not kept.output(index)
                (scope.halves.discard if kept.output(index) else scope.halves.add)(name)
        if lowers:
            self._retype(node)
        yield node

    def _stays_scale(self, node: onnx.NodeProto, index: int) -> bool:
        """Tell whether an input is a scale that stays float32; the result has 16 bits anyway."""
        from onnx import helper

        if not self.wide_scales or node.op_type not in _PAIR or index != _SCALE:
            return False
        if node.op_type == "DequantizeLinear":  # it would give the type of its scale
            node.attribute.append(helper.make_attribute("output_dtype", self.half))
        return True

    def _stays(self, node: onnx.NodeProto, scope: _Scope) -> bool:
        """Tell whether a node computes of shapes; note that of its results."""
        read = [name for name in node.input if name]
        constant = [name in scope.constants for name in read]
        from_shapes = node.op_type in _SHAPES or (
            bool(read)
            and not all(constant)
            and all(name in scope.still or name in scope.constants for name in read)
            and not any(True for _ in bodies(node))
        )
        scope.still.difference_update(node.output)
        if from_shapes:
            scope.still.update(filter(None, node.output))
        return from_shapes

    def _word(self) -> str:
        return "tensor(float16)" if self.precision == "fp16" else "tensor(bfloat16)"

    def _as(self, name: str, wanted: int, scope: _Scope) -> onnx.NodeProto | None:
        """Return the cast that makes a value of the type `wanted`; None if there is one already."""
        from onnx import helper

        now = self.half if name in scope.halves else self.full
        if name in scope.constants or now == wanted or (name, wanted) in scope.casts:
            return None
        made = self._unused(f"{name}_{'fp32' if wanted == self.full else self.precision}")
        scope.casts[name, wanted] = made
        return helper.make_node("Cast", [name], [made], self._unused(f"{made}_Cast"), to=wanted)

    def _named(self, name: str, wanted: int, scope: _Scope) -> str:
        """Return under which name a value has the type `wanted`."""
        if name in scope.constants:
            if wanted == self.full:
                return name
            if (name, wanted) not in scope.casts:
                scope.casts[name, wanted] = self._unused(f"{name}_{self.precision}")
            return scope.casts[name, wanted]
        return scope.casts.get((name, wanted), name)

    def _retype(self, node: onnx.NodeProto) -> None:
        """Let a node whose type stands in its attributes give 16 bits."""
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i == self.full:
                attribute.i = self.half
            elif node.op_type == "ConstantOfShape" and attribute.t.data_type == self.full:
                attribute.t.CopyFrom(rounded(attribute.t, self.precision, attribute.t.name))
        if node.op_type == "ConstantOfShape" and not node.attribute:
            from onnx import helper, numpy_helper

            zero = numpy_helper.from_array(np.zeros(1, np.float32), "value")
            node.attribute.append(
                helper.make_attribute("value", rounded(zero, self.precision, "value"))
            )

    def _ends(
        self,
        graph: onnx.GraphProto,
        nodes: Sequence[onnx.NodeProto],
        scope: _Scope,
        *,
        is_body: bool,
    ) -> Iterator[onnx.NodeProto]:
        """Yield the casts to what a graph gives: float32, of a body 16 bits."""
        from onnx import helper

        wanted = self.half if is_body else self.full
        for value in graph.output:
            name = value.name
            if not self._is_float(name, scope):
                continue
            now = self.half if name in scope.halves else self.full
            if is_body:
                if now != wanted and name not in scope.constants:
                    cast = self._as(name, wanted, scope)
                    if cast is not None:
                        yield cast
                value.name = self._named(name, wanted, scope)
                value.type.tensor_type.elem_type = wanted
            elif now != wanted:
                inner = self._unused(f"{name}_{self.precision}")
                _rename(nodes, name, inner)
                yield helper.make_node("Cast", [inner], [name], f"{inner}_Cast", to=wanted)

    def _store(self, graph: onnx.GraphProto, scope: _Scope) -> None:
        """Write the constants of 16 bits that were asked for, and drop those that nobody reads."""
        for (name, wanted), made in scope.casts.items():
            if name in scope.constants and wanted == self.half:
                graph.initializer.append(rounded(scope.constants[name], self.precision, made))
        read = {value.name for value in graph.output} | names_read(graph)
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(kept)

    def _unused(self, base: str) -> str:
        return unused_name(base, self.taken)


class _Kept:
    """Which float inputs and outputs of a node stay float32, by the definition of its types."""

    def __init__(
        self, node: onnx.NodeProto, opsets: dict[str, int], word: str, stays: bool
    ) -> None:
        own = _schema(node.op_type, node.domain, opsets.get(node.domain, 1))
        self.all = stays or own is None
        newest = _schema(node.op_type, node.domain, None) or own
        self.inputs = _able(own.inputs, newest.inputs, own, newest, word) if own else []
        self.outputs = _able(own.outputs, newest.outputs, own, newest, word) if own else []

    def input(self, index: int) -> bool:
        return self.all or not _at(self.inputs, index)

    def output(self, index: int) -> bool:
        return self.all or not _at(self.outputs, index)


def _able(
    formals: Sequence[Any], newest: Sequence[Any], own: Any, latest: Any, word: str
) -> list[bool]:
    """Return, for each formal input or output of a node, whether it may be of the type `word`.

    It may by the node's own operator set, or by the newest, where it is known by its name there.
    One that has a type of its own, as the scales of Resize, has no other.
    """
    same = {one.name: one for one in newest}
    found = []
    for formal in formals:
        free = word in _allowed(formal, own)
        if not free and formal.name in same and len(_allowed(formal, own)) > 1:
            free = word in _allowed(same[formal.name], latest)
        found.append(free)
    return found


def _allowed(formal: Any, schema: Any) -> Sequence[str]:
    for one in schema.type_constraints:
        if one.type_param_str == formal.type_str:
            strings: Sequence[str] = one.allowed_type_strs
            return strings
    return [formal.type_str]


def _at(able: Sequence[bool], index: int) -> bool:
    """Return what the formal at `index` can; the last one may stand for any number."""
    return bool(able) and able[min(index, len(able) - 1)]


@cache
def _schema(operator: str, domain: str, opset: int | None) -> Any:
    """Return the definition of an operator in an operator set, or the newest; None if it has none.

    One that is withdrawn is no definition.
    """
    from onnx import defs

    where = "" if domain in _STANDARD else domain
    try:
        found = defs.get_schema(operator, opset or defs.onnx_opset_version(), where)
    except defs.SchemaError:
        return None
    return None if opset is None and found.deprecated else found


def _fit(graph: onnx.GraphProto, precision: Half) -> bool:
    """Tell whether the scales of all Q/DQ pairs keep their digits in 16 bits.

    Otherwise all of them stay float32, since engines want those of a layer to have one type.
    """
    scales = {
        node.input[_SCALE]
        for node in graph.node
        if node.op_type in _PAIR and len(node.input) > _SCALE
    }
    return all(
        keeps_scales(tensor, precision) for tensor in graph.initializer if tensor.name in scales
    )


def _rename(nodes: Sequence[onnx.NodeProto], name: str, to: str) -> None:
    """Give a value another name wherever it is made and read, bodies included."""
    for node in nodes:
        for values in (node.input, node.output):
            for index, value in enumerate(values):
                if value == name:
                    values[index] = to
        for body in bodies(node):
            if name not in {value.name for value in body.input}:
                _rename(body.node, name, to)
                for value in body.output:
                    if value.name == name:
                        value.name = to


def _hoist(graph: onnx.GraphProto) -> None:
    """Make initializers of all nodes that give a constant tensor, bodies included."""
    from onnx import helper, numpy_helper

    kept = []
    for node in graph.node:
        for body in bodies(node):
            _hoist(body)
        attribute = node.attribute[0] if node.op_type == "Constant" and node.attribute else None
        kind = _CONSTANTS.get(attribute.name) if attribute is not None else None
        if attribute is None or kind is None:
            kept.append(node)
            continue
        copy = graph.initializer.add()
        if kind == "tensor":
            copy.CopyFrom(attribute.t)
        else:
            value = np.array(helper.get_attribute_value(attribute), kind)
            copy.CopyFrom(numpy_helper.from_array(value))
        copy.name = node.output[0]
    del graph.node[:]
    graph.node.extend(kept)
