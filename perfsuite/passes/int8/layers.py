"""The layers of a graph by the names that people know: module paths, and names of nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.errors import ConfigError
from perfsuite.export.nodes import graph_nodes
from perfsuite.export.normalize import module_path
from perfsuite.passes.int8.placement import CONVOLUTIONS, PRODUCTS
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    import onnx


class Layer(NamedTuple):
    """A module with convolutions or matrix products, or such a node outside of all modules.

    `name` is the module's path, or that of the node; `nodes` are the names of its nodes, `results`
    their first outputs.
    """

    name: str
    nodes: tuple[str, ...]
    results: tuple[str, ...]

    def is_named(self, pattern: str) -> bool:
        """Tell whether a name or pattern is for this layer, or for a module that it is in."""
        return self.name.startswith(f"{pattern}.") or any(
            pattern == name or fnmatchcase(name, pattern) for name in (self.name, *self.nodes)
        )


def layers_of(given: onnx.ModelProto, prepared: onnx.ModelProto) -> list[Layer]:
    """Return the layers of `prepared`, in its order; `given` is the graph that it was made of.

    A module that is called several times is one layer.
    """
    paths = {node.name: node.path for node in graph_nodes(given)}
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in prepared.graph.node:
        if node.op_type in (*CONVOLUTIONS, *PRODUCTS) and len(node.output):
            name = node.name or node.output[0]
            found.setdefault(paths.get(name) or module_path(name) or name, []).append(node)
    return [
        Layer(
            name,
            tuple(node.name or node.output[0] for node in nodes),
            tuple(node.output[0] for node in nodes),
        )
        for name, nodes in found.items()
    ]


def named(layers: Sequence[Layer], patterns: Sequence[str], field: str) -> list[Layer]:
    """Return the layers that the patterns of a pass's `field` are for.

    Raises `ConfigError`, with a suggestion, for one that is for none.
    """
    for place, pattern in enumerate(patterns):
        if not any(layer.is_named(pattern) for layer in layers):
            raise ConfigError(
                f"int8: {field}[{place}]: the model has no convolution and no matrix product "
                f"'{pattern}'{suggestion(pattern, _names(layers))}"
            )
    return [layer for layer in layers if any(layer.is_named(pattern) for pattern in patterns)]


def able(layers: Sequence[Layer], weighted: Collection[str]) -> Iterator[Layer]:
    """Yield the layers that are rounded, with those of their nodes whose results are `weighted`."""
    for layer in layers:
        both = zip(layer.nodes, layer.results, strict=True)
        rounded = [(node, result) for node, result in both if result in weighted]
        if rounded:
            nodes, results = zip(*rounded, strict=True)
            yield Layer(layer.name, nodes, results)


def single_names(layers: Sequence[Layer]) -> Iterator[str]:
    """Yield names that are for one layer each: of one with others inside it, those of its nodes."""
    names = _names(layers)
    for layer in layers:
        inside = any(name.startswith(f"{layer.name}.") for name in names)
        yield from layer.nodes if inside else (layer.name,)


def _names(layers: Sequence[Layer]) -> set[str]:
    return {layer.name for layer in layers}
