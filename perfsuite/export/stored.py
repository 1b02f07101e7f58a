"""Weights that a file stores sparse, or more than once, are written once and whole.

Tools that prune write sparse tensors, which neither the passes nor all engines read, and tools that
merge graphs may write the same weights again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.errors import ConfigError
from perfsuite.export.bodies import bodies

if TYPE_CHECKING:
    import onnx


def drop_repeated(model: onnx.ModelProto) -> None:
    """Keep one of several initializers of the same name and value, in place.

    Raises `ConfigError` where values differ, as nothing says then which of them is meant.
    """
    for graph in _graphs(model.graph):
        kept: dict[str, onnx.TensorProto] = {}
        for tensor in graph.initializer:
            if kept.setdefault(tensor.name, tensor) != tensor:
                raise ConfigError(
                    f"two of its weights are named '{tensor.name}' and differ, so that nothing "
                    f"says which is meant; give each a name of its own"
                )
        if len(kept) < len(graph.initializer):
            once = [type(one).FromString(one.SerializeToString()) for one in kept.values()]
            del graph.initializer[:]
            graph.initializer.extend(once)


def is_sparse(model: onnx.ModelProto) -> bool:
    """Tell whether a graph stores any weights as sparse tensors."""
    return any(
        graph.sparse_initializer or any(_sparse_value(node) for node in graph.node)
        for graph in _graphs(model.graph)
    )


def make_dense(model: onnx.ModelProto) -> None:
    """Write sparse initializers and constants of a checked graph as dense ones, in place."""
    from onnx import helper

    for graph in _graphs(model.graph):
        graph.initializer.extend(map(_dense, graph.sparse_initializer))
        del graph.sparse_initializer[:]
        for node in graph.node:
            if (attribute := _sparse_value(node)) is not None:
                whole = helper.make_attribute("value", _dense(attribute.sparse_tensor))
                attribute.CopyFrom(whole)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from _graphs(body)


def _sparse_value(node: onnx.NodeProto) -> onnx.AttributeProto | None:
    """Return the attribute in which a constant has a sparse tensor, if it has one."""
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    return next((one for one in node.attribute if one.name == "sparse_value"), None)


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """Return the whole of a sparse tensor, whose places are numbers of elements or coordinates."""
    from onnx import numpy_helper

    values, places = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    whole = np.zeros(tuple(sparse.dims), values.dtype)
    if places.ndim == 1:
        whole.reshape(-1)[places] = values
    else:
        whole[tuple(places.T)] = values
    return numpy_helper.from_array(whole, sparse.values.name)
