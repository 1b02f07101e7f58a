"""Exported graphs are made portable: names hold module paths, and nothing tells of the machine.

Kernels are traced back to modules by name: ONNX Runtime names a fused kernel after the value that
it produces, OpenVINO after the node. So both are named `<module path>/<operator>`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

SCOPES = "pkg.torch.onnx.name_scopes"  # the dynamo exporter's list of enclosing module paths
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")


def normalize(model: onnx.ModelProto) -> None:
    """Change `model` in place: scoped names, no source paths, stack traces or documentation.

    Class names are removed too, because that of a class in a user's file holds the file's path.
    """
    from onnx import GraphProto

    _name_nodes(model.graph)
    del model.metadata_props[:]
    remove_sources(model)
    for message in messages(model):
        if isinstance(message, GraphProto):
            del message.value_info[:]  # engines infer shapes themselves


def remove_sources(model: onnx.ModelProto) -> None:
    """Remove what exporters write of the machine: documentation, stack traces, class names.

    The scopes of nodes stay, and so does what is written about the model as a whole.
    """
    from onnx import NodeProto

    model.doc_string = ""
    for message in messages(model):
        if hasattr(message, "doc_string"):
            message.doc_string = ""
        if hasattr(message, "metadata_props"):
            scopes = [entry for entry in message.metadata_props if entry.key == SCOPES]
            kept = [(entry.key, entry.value) for entry in scopes if isinstance(message, NodeProto)]
            del message.metadata_props[:]
            for key, value in kept:
                message.metadata_props.add(key=key, value=value)


def messages(message: Any) -> Iterator[Any]:
    """Yield every protobuf message below `message`, except the values of tensors."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if field.is_repeated else (value,):
            yield child
            yield from messages(child)


def _name_nodes(graph: onnx.GraphProto) -> None:
    weights = {tensor.name for tensor in graph.initializer}
    fixed = {value.name for value in (*graph.input, *graph.output)} | weights
    taken: set[str] = set()
    renamed: dict[str, str] = {}
    for node, scope in zip(graph.node, _scopes(graph, weights), strict=True):
        base = f"{scope}/{node.op_type}".lstrip("/")
        name, count = base, 0
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        node.name = name
        for index, output in enumerate(node.output):
            if output and output not in fixed:
                renamed[output] = f"{name}_output_{index}"
    _rename_values(graph, renamed)


def _rename_values(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    """Rename the values of `graph`, also where bodies of its control flow read them.

    ONNX names are unique across a graph and its bodies, so no body has another value of that name.
    """
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _rename_values(body, renamed)
                for value in body.output:
                    value.name = renamed.get(value.name, value.name)


def _scopes(graph: onnx.GraphProto, weights: set[str]) -> list[str]:
    """Return the path of the module that each node belongs to; '' at the top.

    Exporters rewrite some nodes and lose their scope. Such a node is assigned to the innermost
    module that contains all nodes which read its results.
    """
    scopes = [_scope(node, weights) for node in graph.node]
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(graph.node):
        for name in node.input:
            readers.setdefault(name, []).append(index)
    for index in reversed(range(len(scopes))):  # readers come later in the graph
        if scopes[index] is None:
            found = {at for name in graph.node[index].output for at in readers.get(name, [])}
            scopes[index] = _common([scopes[at] or "" for at in found])
    return [scope or "" for scope in scopes]


def _common(paths: list[str]) -> str:
    parts = zip(*(path.split(".") for path in paths), strict=False)
    return ".".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, parts))


def _scope(node: onnx.NodeProto, weights: set[str]) -> str | None:
    """Return the path of the module that `node` belongs to: '' at the top, None if unknown."""
    if node.op_type in _WEIGHTED and node.input[1] in weights:
        # A convolution that a batch normalization was fused into has the scope of the latter.
        owner, dot, leaf = node.input[1].rpartition(".")
        if dot and leaf == "weight":
            return str(owner)
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            paths = ast.literal_eval(entry.value)
            return str(paths[-2]) if len(paths) > 1 else ""  # the last one is the operator
    # The TorchScript exporter's names begin with a slash, but for constants.
    return module_path(node.name) if "/" in node.name else None


def module_path(name: str) -> str:
    """Return `layer1.0.conv1` for `/layer1/layer1.0/conv1/Conv` and for `layer1.0.conv1/Conv`."""
    path: list[str] = []
    previous = ""
    for part in name.strip("/").split("/")[:-1]:
        path.append(part.removeprefix(f"{previous}."))
        previous = part
    return ".".join(path)
