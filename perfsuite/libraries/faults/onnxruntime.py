"""Faults of ONNX Runtime: nodes on another provider than the one that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts, listed

TITLE = "ONNX Runtime"
CPU = "CPUExecutionProvider"
_OFFERED = "offered"
_INSTALL = {
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu and tensorrt",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "DmlExecutionProvider": "onnxruntime-directml",
}


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield nodes that another provider computes than the one that comes first in the session.

    ONNX Runtime itself puts operators on shapes to the processor, so that only convolutions and
    matrix products count, where the layers are known.
    """
    said = facts.said("provider")
    offered = [one.strip() for one in said.pop(_OFFERED, "").split(",") if one.strip()]
    ran = {name: _count(value) for name, value in said.items()}
    if facts.device == "cuda" and offered and offered[0] == CPU:
        yield Finding(
            "onnxruntime-other-provider",
            TITLE,
            "the session was asked for the card and has the processor's provider alone",
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu; its log at level 1 says "
            "which library of CUDA or cuDNN it could not load",
            "reported",
        )
        return
    asked = offered[0] if offered else CPU
    others = {name: count for name, count in ran.items() if name != asked}
    if not others:
        return
    elsewhere = [
        layer for layer in facts.products if layer.library and _is_on(layer.library, others, asked)
    ]
    if asked in ran and not elsewhere:
        return  # what computes is where it should be
    nodes = ", ".join(f"{count} on {name}" for name, count in others.items())
    layers = f": {listed([one.layer for one in elsewhere])}" if elsewhere else ""
    package = _INSTALL.get(asked)
    yield Finding(
        "onnxruntime-other-provider",
        TITLE,
        f"{asked} was asked for, and {ran.get(asked, 0)} of {sum(ran.values())} nodes run there, "
        f"{nodes}{layers}",
        "it lacks these operators in this form: export with another operator set, or replace them; "
        "else ask for the provider that has them"
        + (f". Is it installed (pip install {package})?" if package else ""),
        "observed",
    )


def _is_on(library: str, others: dict[str, int], asked: str) -> bool:
    """Tell whether a layer's library is of a provider that was not asked for."""
    return library in others or (CPU in others and asked != CPU and library in (TITLE, "MLAS"))


def _count(text: str) -> int:
    number = text.partition(" ")[0]
    return int(number) if number.isdigit() else 0
