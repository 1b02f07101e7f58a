"""Whose kernel computed each layer of a module, told from what oneDNN and MKL have said.

A layer of which neither has said anything, though it could speak, was computed by PyTorch's own
kernels, or by a BLAS that cannot speak; that is a conclusion, not an observation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.instruction_sets import BASELINE, named
from perfsuite.domain.record import EvidenceItem
from perfsuite.runtimes.pytorch.marked_call import Layer, Watched, is_layer, tensor_denormals
from perfsuite.runtimes.pytorch.verbose_lines import (
    dispatch_items,
    layout_of,
    primitive_of,
)
from perfsuite.runtimes.shared.denormals import denormals_item
from perfsuite.runtimes.shared.kernel_names import (
    Launched,
    library_of,
    main_kernel,
    operator_precision,
    short,
)
from perfsuite.runtimes.shared.precision import PRECISIONS

if TYPE_CHECKING:
    from torch import nn

# What oneDNN does to data before and after a layer.
_AROUND = ("reorder", "sum", "concat", "zero_pad")
# torch's word for the library of its matrix products ("BLAS_INFO"), of those that cannot speak.
_SILENT = {
    "open": "OpenBLAS",
    "blis": "BLIS",
    "flame": "BLIS",
    "flexi": "FlexiBLAS",
    "accelerate": "Accelerate",
    "atlas": "ATLAS",
    "veclib": "vecLib",
    "nvpl": "NVPL",
}
_PRODUCTS = re.compile(r"mm|mv|dot|matmul|einsum|linear|lstm|gru|rnn|attention|transformer")


def layer_kernels(seen: Watched, capability: str, build: str) -> tuple[LayerKernel, ...]:
    """Return the kernel of each layer in their order.

    `capability` is torch's word for the instruction set of its own kernels, `build` its text on how
    it was built.
    """
    blas = re.search(r"BLAS_INFO=(\w+)", build)
    silent = _SILENT.get(blas[1].lower() if blas else "", "")
    dispatched = {one.name: named(one.value) for one in dispatch_items(seen.lines)}
    has = {"oneDNN": "USE_MKLDNN=1" in build or "MKL-DNN v" in build, "MKL": "Math Kernel" in build}
    mute = [title for title, there in has.items() if there and title not in seen.speaking]
    return tuple(
        _by_lines(layer, name, dispatched) or _without(layer, name, capability, silent, mute)
        for layer, name in zip(seen.layers, _names(seen.layers), strict=True)
    )


def _by_lines(layer: Layer, name: str, dispatched: dict[str, str]) -> LayerKernel | None:
    """Return the kernel that the layer's lines tell of; None where they tell of none."""
    told = [found for line in layer.lines if (found := primitive_of(line))]
    kernel = next((one for one in reversed(told) if one.kind not in _AROUND), None)
    if kernel is None:
        return None
    # MKL names none for a routine, only, at its first one, for the processor.
    level = named(kernel.name) if kernel.library == "oneDNN" else dispatched.get("MKL", "")
    precision = kernel.precision or PRECISIONS.get(layer.dtype, layer.dtype)
    return LayerKernel(
        name,
        layer.operator,
        kernel.name,
        kernel.library,
        level,
        precision,
        "observed",
        layer.shapes,
    )


def _without(
    layer: Layer, name: str, capability: str, silent: str, mute: Sequence[str]
) -> LayerKernel:
    """Return what is concluded of a layer without lines; no library where one may be `mute`."""
    precision = PRECISIONS.get(layer.dtype, layer.dtype)
    library, level = "PyTorch", named(capability) or BASELINE
    if layer.namespace not in ("aten", ""):
        library, level = layer.namespace, ""  # whoever has registered the operator
    elif silent and _PRODUCTS.search(layer.operator) and precision in ("fp32", "fp64"):
        library, level = silent, ""
    elif mute:
        library, level = "", ""
    return LayerKernel(
        name,
        layer.operator,
        layer.operator,
        library,
        level,
        precision,
        "inferred",
        layer.shapes,
    )


def card_layers(launched: Iterable[Launched]) -> tuple[LayerKernel, ...]:
    """Return the kernel of each layer that ran on a card, by the names of kernels."""
    ran = [
        (one, kernel) for one in launched if is_layer(one.operator) and (kernel := main_kernel(one))
    ]
    names = _numbered((one.path, one.operator) for one, _ in ran)
    return tuple(_on_card(*pair, name) for pair, name in zip(ran, names, strict=True))


def _on_card(one: Launched, kernel: str, name: str) -> LayerKernel:
    precision = operator_precision(one)
    return LayerKernel(
        name,
        one.operator,
        short(kernel),
        library_of(one, kernel),
        precision=PRECISIONS.get(precision.lower(), precision),
    )


def seen_items(seen: Watched) -> Iterator[EvidenceItem]:
    """Yield what libraries say of themselves, layouts of convolutions, and denormals."""
    yield from dispatch_items(seen.lines)
    convolutions = [layer for layer in seen.layers if len(layer.layouts) == 2]
    if convolutions:
        for place, whose in enumerate(("convolution inputs", "convolution weights")):
            found = Counter(layer.layouts[place] for layer in convolutions)
            words = dict.fromkeys(("contiguous", "channels-last", "neither"), 0) | found
            yield EvidenceItem("observed", "layout", whose, _counted(words))
    primitives = [
        found for layer in seen.layers for found in map(primitive_of, layer.lines) if found
    ]
    ours = [one for one in primitives if one.library == "oneDNN"]
    if tags := [one.tag for one in ours if "convolution" in one.kind and one.tag]:
        words = dict.fromkeys(("blocked", "channels-last", "plain"), 0)
        yield EvidenceItem(
            "observed", "layout", "oneDNN", _counted(words | Counter(map(layout_of, tags)))
        )
    if ours:
        reorders = sum(one.kind == "reorder" for one in ours)
        yield EvidenceItem("observed", "layout", "reorders", f"{reorders} in a call")
    yield denormals_item("answers of layers", seen.answers)


def weights_item(module: nn.Module) -> EvidenceItem:
    """Return how many of a module's parameters and buffers are denormal."""
    tensors = dict((*module.named_parameters(), *module.named_buffers()))
    return denormals_item("weights", (tensor_denormals(*pair) for pair in tensors.items()))


def _counted(words: dict[str, int]) -> str:
    return ", ".join(f"{times} {word}" for word, times in words.items())


def _names(layers: Sequence[Layer]) -> list[str]:
    return _numbered((layer.path, layer.operator) for layer in layers)


def _numbered(layers: Iterable[tuple[str, str]]) -> list[str]:
    """Return a name of its own for each: its module's path, where that has one layer alone.

    Others have the operator behind it, and a number from the second on, as in a profile.
    """
    pairs = list(layers)
    paths = Counter(path for path, _ in pairs)
    seen: Counter[str] = Counter()
    names = []
    for path, operator in pairs:
        name = path if path and paths[path] == 1 else f"{path}/{operator}".lstrip("/")
        names.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names
