"""A graph is run once on ONNX Runtime, to learn the shapes of its tensors and what its loops do.

Each tensor's shape is made an output, instead of the tensor, so that memory can be freed as ever.
Branches and bodies of loops are run as graphs of their own, as often as they run inside, with the
values that they read from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.export.bodies import bodies
from perfsuite.export.contrib_operators import is_free
from perfsuite.export.counting import NodeCount, computes, is_control, plain_count, together
from perfsuite.export.operators import attributes
from perfsuite.export.shapes import Inferred, Shapes

if TYPE_CHECKING:
    import onnx

Values = dict[str, Any]  # of tensors, by name
# Operators whose results are no tensors: sequences, optional values, maps.
_NO_TENSORS = frozenset(
    {
        "Optional",
        "OptionalGetElement",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceMap",
        "SplitToSequence",
        "ZipMap",
    }
)


class CannotRun(Exception):
    """ONNX Runtime does not take the graph, or a call of it fails."""


def run_counted(inferred: Inferred, inputs: Inputs) -> tuple[Shapes, list[NodeCount]]:
    """Return the shapes of all tensors and the count of each node, as a call with `inputs` ran.

    Raises `CannotRun` where the graph does not run.
    """
    graph = inferred.graph
    wanted = {one.name for one in graph.input}
    feeds = {name: array for name, array in inputs.items() if name in wanted}
    scope = _Scope(inferred.model, graph, {}, inferred.shapes, every_shape=True)
    try:
        shapes, counts, _ = scope.count(feeds)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise CannotRun(str(error)) from error
    return shapes, counts


class _Scope:
    """A graph, or a subgraph, that can be run to be counted."""

    def __init__(
        self,
        model: onnx.ModelProto,
        graph: onnx.GraphProto,
        outer: Mapping[str, onnx.TensorProto],
        shapes: Shapes,
        *,
        every_shape: bool = False,
    ) -> None:
        own = {tensor.name: tensor for tensor in graph.initializer}
        self.model, self.graph = model, graph
        self.constants = {**outer, **own}
        self.known = {name: tuple(tensor.dims) for name, tensor in self.constants.items()} | shapes
        self.reads = _free_names(graph)
        self.asked = list(self._unknown(every_shape))
        self.inner: dict[tuple[int, int], _Scope] = {}
        self.run: Callable[[Values], Values] | None = None

    def count(
        self, feeds: Values, results: Iterable[str] = ()
    ) -> tuple[Shapes, list[NodeCount], Values]:
        """Return shapes and counts of one call, and the values of `results`."""
        results = list(results)
        if self.run is None:
            self.run = self._opened(feeds, results)
        found = self.run(feeds)
        values = {**feeds, **found}
        shapes = dict(self.known)
        for name, array in feeds.items():
            if isinstance(array, np.ndarray):
                shapes[name] = array.shape
        for place, name in enumerate(self.asked):
            shapes[name] = tuple(map(int, found[_shape_name(place)]))
        counts = [
            self._count(index, node, shapes, values) for index, node in enumerate(self.graph.node)
        ]
        return shapes, counts, {name: self._value(name, values) for name in results}

    def _unknown(self, every_shape: bool) -> Iterator[str]:
        """Yield the tensors that are read or made by what has to be counted, and not known."""
        made_of_other = _others(self.graph)
        seen: set[str] = set()
        inputs = [one.name for one in self.graph.input]
        inside = {*inputs, *(name for node in self.graph.node for name in node.output)}
        for node in self.graph.node:
            if not every_shape and (is_free(node) or is_control(node)):
                continue
            for name in (*node.input, *node.output):
                if name and name not in self.known and name not in seen | made_of_other:
                    seen.add(name)
                    if name in inside or name in self.reads:
                        yield name

    def _opened(self, feeds: Values, results: list[str]) -> Callable[[Values], Values]:
        """Return a function that runs the graph: of its inputs' values, what is asked for."""
        from onnx import ValueInfoProto, helper

        shapes = [_shape_name(place) for place in range(len(self.asked))]
        read = dict.fromkeys([*results, *self._read_by_control()])
        outputs = [*shapes, *(n for n in read if n not in feeds and n not in self.constants)]
        if not outputs:
            return lambda values: {}
        own = {tensor.name for tensor in self.graph.initializer}
        needed = {one.name for one in self.graph.input} | self.reads
        accepted = [name for name in feeds if name in needed and name not in own]
        graph = helper.make_graph(
            [
                *self.graph.node,
                *(
                    helper.make_node("Shape", [name], [shape])
                    for name, shape in zip(self.asked, shapes, strict=True)
                ),
            ],
            "counted",
            [_described(name, feeds[name]) for name in accepted],
            [ValueInfoProto(name=name) for name in outputs],
            [
                *self.graph.initializer,
                *(one for name, one in self.constants.items() if name in self.reads - own),
            ],
            sparse_initializer=list(self.graph.sparse_initializer),
        )
        session = _session(
            helper.make_model(
                graph,
                opset_imports=self.model.opset_import,
                ir_version=self.model.ir_version,
                functions=self.model.functions,
            )
        )

        def run(values: Values) -> Values:
            given = {name: values[name] for name in accepted}
            return dict(zip(outputs, session.run(outputs, given), strict=True))

        return run

    def _read_by_control(self) -> Iterator[str]:
        """Yield the values that branches and loops begin with."""
        for node in self.graph.node:
            if is_control(node) and computes(node):
                yield from filter(None, node.input)
                for graph in bodies(node):
                    yield from _free_names(graph)

    def _value(self, name: str, values: Values) -> Any:
        from onnx import numpy_helper

        return values[name] if name in values else numpy_helper.to_array(self.constants[name])

    def _count(self, index: int, node: onnx.NodeProto, shapes: Shapes, values: Values) -> NodeCount:
        if not is_control(node):
            return plain_count(node, shapes)
        if not computes(node):
            return NodeCount()
        if node.op_type == "If":
            chosen = bool(np.asarray(self._value(node.input[0], values)).item())
            name = "then_branch" if chosen else "else_branch"
            graph = attributes(node)[name]
            inner = self._scope((index, int(chosen)), graph)
            return together(inner.count(self._captured(graph, values))[1])
        if node.op_type == "Loop":
            return together(self._loop(index, node, values))
        if node.op_type == "Scan":
            return together(self._scan(index, node, values))
        return NodeCount(0, {f"{node.op_type} of unknown length": 1})

    def _loop(self, index: int, node: onnx.NodeProto, values: Values) -> Iterator[NodeCount]:
        most, condition, *first = node.input
        body = attributes(node)["body"]
        limit = int(np.asarray(self._value(most, values)).item()) if most else None
        goes_on = bool(np.asarray(self._value(condition, values)).item()) if condition else True
        carried = [self._value(name, values) for name in first]
        inner, outside = self._scope((index, 0), body), self._captured(body, values)
        names, ranks = [one.name for one in body.input], [_rank(one) for one in body.input[:2]]
        results = [one.name for one in body.output[: len(first) + 1]]
        step = 0
        while goes_on and (limit is None or step < limit):
            begun = np.full((1,) * ranks[0], step, np.int64), np.full((1,) * ranks[1], True)
            feeds = {**outside, **dict(zip(names, (*begun, *carried), strict=True))}
            _, counts, made = inner.count(feeds, results)
            yield together(counts)
            goes_on = bool(np.asarray(made[results[0]]).item())
            carried = [made[name] for name in results[1:]]
            step += 1

    def _scan(self, index: int, node: onnx.NodeProto, values: Values) -> Iterator[NodeCount]:
        said = attributes(node)
        body, number = said["body"], said["num_scan_inputs"]
        arrays = [self._value(name, values) for name in node.input]
        states, sliced = arrays[:-number], arrays[-number:]
        axes = said.get("scan_input_axes", [0] * number)
        backwards = said.get("scan_input_directions", [0] * number)
        inner, outside = self._scope((index, 0), body), self._captured(body, values)
        names = [one.name for one in body.input]
        results = [one.name for one in body.output[: len(states)]]
        length = sliced[0].shape[axes[0]]
        for step in range(length):
            cut = [
                np.take(array, length - 1 - step if back else step, axis)
                for array, axis, back in zip(sliced, axes, backwards, strict=True)
            ]
            feeds = {**outside, **dict(zip(names, (*states, *cut), strict=True))}
            _, counts, made = inner.count(feeds, results)
            yield together(counts)
            states = [made[name] for name in results]

    def _scope(self, place: tuple[int, int], graph: onnx.GraphProto) -> _Scope:
        if place not in self.inner:
            self.inner[place] = _Scope(self.model, graph, self.constants, {})
        return self.inner[place]

    def _captured(self, graph: onnx.GraphProto, values: Values) -> Values:
        """Return the values that a subgraph reads from outside, except constants."""
        return {name: values[name] for name in _free_names(graph) if name not in self.constants}


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.enable_mem_pattern = False
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _free_names(graph: onnx.GraphProto) -> set[str]:
    """Return the names of what a graph and its subgraphs read from outside of it."""
    own = {one.name for one in (*graph.input, *graph.initializer)}
    own |= {one.values.name for one in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    read = {one.name for one in graph.output}
    for node in graph.node:
        read.update(node.input)
        for inner in bodies(node):
            read |= _free_names(inner)
    return read - own - {""}


def _others(graph: onnx.GraphProto) -> set[str]:
    """Return the names of what is no tensor, as far as it is known."""
    found = {
        one.name
        for one in (*graph.input, *graph.value_info, *graph.output)
        if one.type.WhichOneof("value") not in (None, "tensor_type")
    }
    for node in graph.node:
        passed_on = node.op_type == "Identity" and node.input[0] in found
        if passed_on or node.op_type in _NO_TENSORS:
            found.update(node.output)
    return found


def _described(name: str, value: Any) -> onnx.ValueInfoProto:
    """Return a graph's input for a value: of its type, and of any shape."""
    from onnx import TensorProto, helper

    array = np.asarray(value[0] if value else np.float32(0)) if isinstance(value, list) else value
    text = array.dtype.kind in "OUS"
    kind = TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(array.dtype)
    if isinstance(value, list):
        return helper.make_tensor_sequence_value_info(name, kind, None)
    return helper.make_tensor_value_info(name, kind, None)


def _rank(value: onnx.ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def _shape_name(place: int) -> str:
    return f"perfsuite shape {place}"
