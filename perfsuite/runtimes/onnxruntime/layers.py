"""Who computed each layer of a graph on ONNX Runtime: the provider observed, its library concluded.

ONNX Runtime names node and provider. Its own provider for processors computes convolutions and
products with MLAS, which says nothing of itself: its instruction set follows from the processor
(onnxruntime/core/mlas/lib/platform.cpp).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from perfsuite.domain.finding import LayerKernel
from perfsuite.processor import read_processor
from perfsuite.runtimes.onnxruntime.profile import KERNEL, PRODUCTS, data_type, origin_of
from perfsuite.runtimes.shared.denormals import Share, denormals
from perfsuite.runtimes.shared.origins import Graph
from perfsuite.runtimes.shared.precision import PRECISIONS, is_layer

PROVIDER = "CPUExecutionProvider"
# Whose kernels a provider takes; one that is not here is named itself.
_LIBRARIES = {
    PROVIDER: "MLAS",
    "DnnlExecutionProvider": "oneDNN",
    "OpenVINOExecutionProvider": "OpenVINO",
    "TensorrtExecutionProvider": "TensorRT",
}
# What MLAS takes, the best first: with its flag, and for products of 8 bits.
_FLOAT = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX"), ("asimd", "NEON"))
_INT8 = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx512bw", "AVX-512"),
    ("avx_vnni", "AVX2 VNNI"),
    ("avx2", "AVX2"),
    ("sse4_1", "SSE4"),
    ("asimd", "NEON"),
)
# NumPy's names for features, and how those begin that are hidden with them.
_ASKED = {"AVX512F": ("avx512", "amx", "avx_vnni"), "AVX2": ("avx2", "avx_vnni")}
_FAR = 8  # nodes between a layer and the value that its kernel stores


def layer_kernels(
    nodes: Mapping[tuple[str, str], Mapping[str, Any]], graph: Graph, features: Collection[str]
) -> tuple[LayerKernel, ...]:
    """Return who computed each layer, in the order in which they ran.

    `nodes` are the arguments of kernel events by their name and number, `features` the processor's.
    """
    ran = layer_keys(nodes)
    names = _names([name.removesuffix(KERNEL) for name, _ in ran], graph)
    return tuple(_layer(name, nodes[key], features) for name, key in zip(names, ran, strict=True))


def layer_keys(nodes: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return which nodes are layers, in the order in which they ran."""
    return [key for key, each in nodes.items() if is_layer(str(each.get("op_name", "")))]


def _layer(name: str, arguments: Mapping[str, Any], features: Collection[str]) -> LayerKernel:
    dtype = data_type(dict(arguments))
    precision = PRECISIONS.get(dtype, dtype)
    provider = str(arguments.get("provider", ""))
    library = _LIBRARIES.get(provider, provider)
    sets = _INT8 if precision == "int8" else _FLOAT
    level = next((best for flag, best in sets if flag in features), "")
    return LayerKernel(
        name,
        str(arguments["op_name"]),
        provider,
        library,
        level if library == "MLAS" else "",
        precision,
        "inferred" if provider in _LIBRARIES else "observed",
        tuple(_shapes(arguments))[:2],
    )


def _shapes(arguments: Mapping[str, Any]) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of a node's inputs that are neither scales nor biases."""
    for one in arguments.get("input_type_shape") or ():
        for shape in one.values():
            if isinstance(shape, list) and len(shape) > 1:
                yield tuple(map(int, shape))


def _names(kernels: Sequence[str], graph: Graph) -> list[str]:
    """Return for each kernel the name of the graph's node that is its layer, each node once.

    A kernel may be named after the value that it stores, which nodes after the layer make.
    """
    starts = [origin_of(graph, name) for name in kernels]
    exact = {start for start in starts if start is not None and graph.nodes[start].kind in PRODUCTS}
    taken: set[int] = set()
    names = []
    for kernel, start in zip(kernels, starts, strict=True):
        found = None if start is None else _layer_before(graph, start, exact | taken)
        if found is None:
            names.append(kernel)
        else:
            taken.add(found)
            names.append(graph.nodes[found].name)
    return names


def _layer_before(graph: Graph, start: int, taken: Collection[int]) -> int | None:
    """Return the nearest layer at or before the node `start` that no other kernel has."""
    if graph.nodes[start].kind in PRODUCTS:
        return start
    waiting, seen = deque([(start, 0)]), {start}
    while waiting:
        index, far = waiting.popleft()
        if is_layer(graph.nodes[index].kind):
            if index not in taken:
                return index
            continue  # what lies before it is that one's
        for value in graph.nodes[index].inputs:
            before = graph.producers.get(value)
            if before is not None and before not in seen and far < _FAR:
                seen.add(before)
                waiting.append((before, far + 1))
    return None


def weights(path: Path) -> Iterator[Share]:
    """Yield the share of denormals in each tensor that is stored in an ONNX file."""
    import onnx
    from onnx import TensorProto, numpy_helper

    graph = onnx.load(path).graph
    stored = list(graph.initializer)
    for node in graph.node:
        if node.op_type == "Constant":
            stored += [one.t for one in node.attribute if one.HasField("t")]
    for tensor in stored:
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.DOUBLE):
            yield denormals(tensor.name or "a constant", numpy_helper.to_array(tensor))


def usable_features() -> frozenset[str]:
    """Return the processor's features that this process can use.

    An emulator such as qemu-user hides some from the process that the kernel lists. NumPy asks the
    processor itself.
    """
    features = frozenset(read_processor().features)
    try:
        private = import_module("numpy._core._multiarray_umath")
    except ImportError:
        return features
    asked = getattr(private, "__cpu_features__", {})
    listed = {name for name in _ASKED if name.lower() in features}
    hidden = tuple(flag for name in listed if asked.get(name) is False for flag in _ASKED[name])
    return frozenset(one for one in features if not one.startswith(hidden))
