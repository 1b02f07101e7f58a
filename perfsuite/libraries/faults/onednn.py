"""Faults of oneDNN: reference kernels, and convolutions on the processor that it did not take."""

from __future__ import annotations

import math
from collections.abc import Iterator

from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.libraries.facts import Facts, is_product, listed

TITLE = "oneDNN"
# In integers of more than 8 bits, as of shapes, nobody needs a fast one.
_COMPUTED = ("", "fp32", "fp16", "bf16", "tf32", "int8", "fp64")
# PyTorch computes these convolutions itself: its own rule says that oneDNN would not be faster.
_SMALL = 20_480  # elements of the input
_FEW_SAMPLES = 16


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield what oneDNN computes slowly, and what it could compute and does not."""
    yield from _reference(facts)
    yield from _not_taken(facts)


def _reference(facts: Facts) -> Iterator[Finding]:
    slow = [layer for layer in facts.evidence.layers if is_reference(layer)]
    if not slow:
        return
    whose = slow[0].library or facts.runtime
    kernels = listed([layer.kernel for layer in slow])
    yield Finding(
        "onednn-reference-kernel" if whose == TITLE else "reference-kernel",
        whose,
        f"{whose} computes {_of(facts, slow)} with reference kernels ({kernels}), which nobody has "
        f"optimized: {listed([layer.layer for layer in slow])}",
        "give these layers a form that has a fast kernel: float32 or int8, groups whose channels "
        "are multiples of 8, no dilation in a transposed convolution; or try another runtime",
        slow[0].how,
    )


def is_reference(layer: LayerKernel) -> bool:
    """Tell whether a convolution or matrix product runs on a kernel for reference alone.

    What oneDNN calls so of recurrent layers (`ref:any`) multiplies with its fast products.
    """
    kernel = layer.kernel.lower()
    named = kernel.startswith(("ref", "simple")) or ":ref" in kernel or "_ref" in kernel
    return named and is_product(layer.operator) and layer.precision in _COMPUTED


def _not_taken(facts: Facts) -> Iterator[Finding]:
    enabled = facts.said("setting").get("mkldnn.enabled")
    if enabled is None or facts.device != "cpu":
        return  # it is not PyTorch, whose setting this is, that computes on the processor
    layers = [layer for layer in facts.products if "conv" in layer.operator.lower()]
    left = [layer for layer in layers if layer.library and layer.library != TITLE]
    if enabled == "off":
        yield Finding(
            "onednn-off",
            TITLE,
            "oneDNN is turned off in PyTorch"
            + (f": {_of(facts, left)} run on other kernels" if left else ""),
            "take `torch.backends.mkldnn.enabled = False` and `torch.backends.mkldnn.flags` out of "
            "what the model imports; it is on by default",
            "reported",
        )
        return
    left = [layer for layer in left if not computed_by_rule(layer, facts.threads)]
    if left:
        yield Finding(
            "layer-without-library",
            TITLE,
            f"oneDNN did not take {_of(facts, left)}, which run on "
            f"{listed([layer.kernel for layer in left])}: {listed([one.layer for one in left])}",
            _remedy(left),
            left[0].how,
        )


def computed_by_rule(layer: LayerKernel, threads: int) -> bool:
    """Tell whether PyTorch computes a convolution itself by its own rule, as it is small.

    That holds without groups, for one small sample and kernels of up to 3 x 3, and for kernels of
    1 x 1 with one thread (ATen/native/Convolution.cpp, use_mkldnn). Unknown shapes count as small.
    """
    if layer.precision not in ("", "fp32"):
        return False
    if len(layer.shapes) < 2 or min(len(one) for one in layer.shapes[:2]) < 4:
        return True
    given, weights = layer.shapes[:2]
    elements = math.prod(given[:4])  # it counts so for three dimensions, too
    transposed = "transpose" in layer.operator.lower()
    grouped = not transposed and given[1] != weights[1]
    large = min(weights[-2:]) > 3 or given[0] > 1 or elements > _SMALL
    points = max(weights[-2:]) == 1 and threads == 1 and given[0] < _FEW_SAMPLES
    return points or not (grouped or large)


def _remedy(left: list[LayerKernel]) -> str:
    odd = sorted({layer.precision for layer in left} - {"", "fp32", "bf16"})
    if odd:
        return f"compute in float32 (`model.float()`): oneDNN has no kernels in {listed(odd)} here"
    return (
        "leave torch.backends.mkldnn on around these layers, and take a torch that is built with "
        "oneDNN (`torch.backends.mkldnn.is_available()`); or run the model on openvino or "
        "onnxruntime, which have kernels of their own"
    )


def _of(facts: Facts, layers: list[LayerKernel]) -> str:
    """Return how many these layers are of those that compute."""
    total = len(facts.products)
    return f"{len(layers)} of {total} {'layer' if total == 1 else 'layers'}"
