"""What ONNX Runtime's trace tells of a card: the kernels of each node, and nodes that missed it.

The provider for CUDA puts the events of kernels behind that of the node that launched them, with
the card's times put into the host's clock. The time of a node's own event is that of the code which
launches. A build without CUDA's tracing library (CUPTI),
as published ones are, has no such events.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import msgspec

from perfsuite.domain.finding import LayerKernel
from perfsuite.errors import SilentFallback, Unsupported
from perfsuite.runtimes.onnxruntime.layers import PROVIDER, layer_keys
from perfsuite.runtimes.onnxruntime.profile import (
    KERNEL,
    TITLE,
    Event,
    Nodes,
    data_type,
    is_node,
    node_key,
)
from perfsuite.runtimes.shared.kernel_names import Launched, library_of, main_kernel, short
from perfsuite.runtimes.shared.precision import is_layer

CUDA_PROVIDER = "CUDAExecutionProvider"
NO_KERNELS = (
    "this build of ONNX Runtime traces no kernels of the card: its CUDA provider is built without "
    "CUPTI, as published ones are; one built with --enable_cuda_profiling does"
)
SMALL = 1024  # elements: what is smaller is a shape, or some coordinates, and computed on the host
SHOWN = 5
_FLOATS = ("float", "float16", "bfloat16", "double")


def launched(events: list[Event]) -> dict[tuple[str, str], tuple[Event, ...]]:
    """Return the events of the kernels that each node of the last call launched on the card."""
    found: dict[tuple[str, str], list[Event]] = {}
    last: tuple[str, str] | None = None
    for event in events:
        if is_node(event):
            last = node_key(event)
            found[last] = []
        elif event.get("cat") == "Kernel" and last is not None:
            found[last].append(event)
    return {key: tuple(kernels) for key, kernels in found.items()}


def operators(nodes: Nodes, kernels: Mapping[tuple[str, str], tuple[Event, ...]]) -> list[Launched]:
    """Return the nodes that ran, each with the names of its kernels."""
    return [
        Launched(
            str(node["op_name"]),
            data_type(node) or "unknown",
            tuple(str(one["name"]) for one in kernels.get(key, ())),
        )
        for key, node in nodes.items()
    ]


def on_card(events: list[Event]) -> list[Event]:
    """Return the events with the time of each node on the card, from its first kernel to its last.

    The card works off one kernel after the other, and the host goes ahead of it: what overlaps
    counts once, for the one that began first. Raises `Unsupported` without events of kernels.
    """
    if not any(event.get("cat") == "Kernel" for event in events):
        raise Unsupported(NO_KERNELS)
    found: list[Event] = []
    free = 0
    for place, event in enumerate(events):
        if not is_node(event):
            found.append(event)
            continue
        start, end = _times(event, _kernels_behind(events, place))
        free = max(free, start)
        found.append({**event, "ts": free, "dur": max(0, end - free)})
        free = max(free, end)
    return found


def _kernels_behind(events: list[Event], place: int) -> Iterator[Event]:
    """Yield the events of kernels that follow that of the node at `place`."""
    for event in events[place + 1 :]:
        if event.get("cat") == "Kernel":
            yield event
        elif is_node(event):
            return


def _times(node: Event, kernels: Iterator[Event]) -> tuple[int, int]:
    """Return begin and end of a node's kernels; of one on the card without any, no time."""
    spans = [(one["ts"], one["ts"] + one["dur"]) for one in kernels]
    if spans:
        return min(begin for begin, _ in spans), max(end for _, end in spans)
    own = node["dur"] if node["args"].get("provider") == PROVIDER else 0
    return node["ts"], node["ts"] + own


def with_kernels(
    layers: tuple[LayerKernel, ...],
    nodes: Nodes,
    kernels: Mapping[tuple[str, str], tuple[Event, ...]],
) -> tuple[LayerKernel, ...]:
    """Return the layers, each with the kernel that computed it, where the trace tells it."""
    found = []
    for layer, key in zip(layers, layer_keys(nodes), strict=True):
        (one,) = operators({key: nodes[key]}, kernels)
        if kernel := main_kernel(one):
            whose = library_of(one, kernel, TITLE)
            layer = msgspec.structs.replace(
                layer, kernel=short(kernel), library=whose, how="observed"
            )
        found.append(layer)
    return tuple(found)


def check_fallback(nodes: Nodes, allowed: Collection[str]) -> None:
    """Raise `SilentFallback` that names the nodes which ran on the processor instead of the card.

    ONNX Runtime itself leaves shapes there and what follows from them, which costs nothing; those
    do not count, nor do operators that are `allowed`.
    """
    missed = [
        f"{name.removesuffix(KERNEL)} ({node['op_name']})"
        for (name, _), node in nodes.items()
        if node.get("provider") == PROVIDER
        and str(node["op_name"]) not in allowed
        and _matters(node)
    ]
    if missed:
        more = f" and {len(missed) - SHOWN} more" if len(missed) > SHOWN else ""
        raise SilentFallback(
            f"onnxruntime-cuda: {len(missed)} of {len(nodes)} nodes ran on the processor, as the "
            f"provider for CUDA has no kernel for them: {', '.join(missed[:SHOWN])}{more}; export "
            f"the model with other operators, take another engine, or allow their types by a "
            f"runtime of yours: class Mine(OnnxRuntimeCuda): on_processor = (...)"
        )


def _matters(node: Event) -> bool:
    """Tell whether a node computes on values of the net, and not on a shape."""
    if is_layer(str(node["op_name"])):
        return True
    shapes = (*(node.get("input_type_shape") or ()), *(node.get("output_type_shape") or ()))
    return any(
        kind in _FLOATS and isinstance(shape, list) and math.prod(map(int, shape)) >= SMALL
        for one in shapes
        for kind, shape in one.items()
    )
