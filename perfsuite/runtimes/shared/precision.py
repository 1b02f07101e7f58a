"""The precision that a model ran in, by the kernels that were executed.

`Evidence.kernels` counts under `<type> <precision>`, such as `Convolution int8`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest
from perfsuite.errors import SilentFallback

# Kernels in which a vision model spends most of its time; the model's precision is theirs.
_COMPUTE = re.compile(
    r"conv(?!ert)|gemm|matmul|fullyconnected|addmm|bmm|\bmm\b|linear|innerproduct"
)
_NOT_COMPUTE = re.compile(r"quantizelinear|linearadd|linearmul|linearconcat|pool|linearsoftmax")
# Operators on rounded values that are no products, whatever their name has in it.
_NO_LAYER = re.compile(r"qlinear(?!conv|matmul)")
_OTHER_LAYERS = re.compile(r"rnn|lstm|gru|attention|einsum|\bmha\b")

PRECISIONS = {
    "float": "fp32", "float32": "fp32", "f32": "fp32",
    "float16": "fp16", "f16": "fp16", "c10::half": "fp16",
    "bfloat16": "bf16", "bf16": "bf16", "c10::bfloat16": "bf16",
    "int8": "int8", "uint8": "int8", "i8": "int8", "u8": "int8",
    "signed char": "int8", "unsigned char": "int8",
    "u1": "binary",
    "double": "fp64", "float64": "fp64", "f64": "fp64",
}  # fmt: skip

_LOWERED = {"tf32", "fp16", "bf16", "int8"}


def count(kernels: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return how often each (type, engine's word for the data type) ran, in sorted order."""
    named = Counter(f"{kind} {PRECISIONS.get(dtype.lower(), dtype)}" for kind, dtype in kernels)
    return dict(sorted(named.items()))


def compute_precisions(kernels: dict[str, int]) -> dict[str, int]:
    """Return how many compute kernels (convolutions, matrix products) ran in each precision."""
    total: Counter[str] = Counter()
    for name, times in kernels.items():
        kind, _, precision = name.rpartition(" ")
        if _COMPUTE.search(kind.lower()) and not _NOT_COMPUTE.search(kind.lower()):
            total[precision] += times
    return dict(sorted(total.items()))


def is_layer(kind: str) -> bool:
    """Tell whether a kernel of an engine that takes graphs computes a layer, by its type.

    A layer is a convolution, a matrix product, a recurrent layer or an attention.
    """
    lowered = kind.lower()
    if _OTHER_LAYERS.search(lowered):
        return True
    product = _COMPUTE.search(lowered) and not _NOT_COMPUTE.search(lowered)
    return bool(product) and not _NO_LAYER.search(lowered)


def precision_item(kernels: dict[str, int]) -> EvidenceItem:
    """Return the precisions of the compute kernels that ran, as one item of evidence."""
    found = compute_precisions(kernels)
    words = ", ".join(f"{times} in {precision}" for precision, times in found.items())
    return EvidenceItem("observed", "precision", "compute kernels", words or "none ran")


def engine_item(title: str, kernels: dict[str, int]) -> EvidenceItem:
    """Return that an engine ran the net, by the kernels that it says to have run."""
    return EvidenceItem("observed", "engine", title, f"{sum(kernels.values())} kernels")


def check_precision(evidence: Evidence, manifest: Manifest) -> None:
    """Raise `SilentFallback` if compute kernels ran in another precision than asked for.

    For fp32, none may have run in TF32, fp16, bf16 or int8, but for those that a pass has written
    into the graph or that it has by itself. For the others, at least one must have run in that
    precision, unless the graph is of integers. For a graph that a pass has quantized, at least one
    must have run in int8. Evidence without compute kernels is refused, unless plain fp32 was asked
    for.
    """
    ran = compute_precisions(evidence.kernels)
    words = ", ".join(f"{times} in {precision}" for precision, times in ran.items()) or "none"
    where = f"{manifest.runtime} on {manifest.device}"
    if manifest.quantized and not ran:
        raise SilentFallback(
            f"{where}: the graph is quantized, and the evidence names no convolution or matrix "
            f"product that ran, so that nothing proves it; let the session's evidence() count its "
            f"kernels by type and precision, such as 'Conv int8'"
        )
    if manifest.quantized and "int8" not in ran:
        raise SilentFallback(
            f"{where}: the graph is quantized, but no int8 compute kernel ran ({words}); the "
            f"processor or the engine has none for these layers, so nothing is gained"
        )
    own = {*manifest.own_precisions, *(["int8"] if manifest.quantized else [])}
    if manifest.precision == "fp32":
        if _LOWERED & set(ran) - own:
            raise SilentFallback(f"{where}: fp32 was asked for, compute kernels ran: {words}")
    elif not ("int8" in own and "int8" in ran) and manifest.precision not in ran:
        raise SilentFallback(
            f"{where}: {manifest.precision} was asked for, compute kernels ran: {words}"
        )


def computed_in_float(evidence: Evidence, manifest: Manifest) -> bool:
    """Tell whether a file that is INT8 already was computed without any kernel of 8 bits."""
    ran = compute_precisions(evidence.kernels)
    return "int8" in manifest.own_precisions and bool(ran) and "int8" not in ran
